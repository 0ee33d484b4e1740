"""`GET /history/<channel>/`; docs/protocol.md is what it promises."""

import json
import re
from collections.abc import Iterable, Sequence

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from relay import conf
from relay.access.problem import Problem
from relay.broker.keys import Keys
from relay.conf.catalogue import Target
from relay.feed.entries import Entry
from relay.history.history import Page
from relay.history.redis_stream import RedisStream
from relay.http.large_answers import LargeAnswer
from relay.http.query import require_channel
from relay.http.refusal import problems, redis_answers, require_method
from relay.http.visitor import Visitor, json_response
from relay.publishing.clients import commands
from relay.replay.past_page import told
from relay.wire import sse
from relay.wire.notices import Gap
from relay.wire.position import Position

MAX_MESSAGES = 500
MESSAGES = 100
"""How many messages a page has where the client does not say."""

MAX_BYTES = 1024 * 1024
"""How large a page may be: as stored in Redis, and again as JSON. One message may be larger."""

_NUMBER = re.compile(r"[0-9]{1,3}")


@problems
async def history(request: HttpRequest, channel: str) -> HttpResponse:
    """Answers {"channel", "messages", "more"}: messages and gaps, the oldest first."""
    require_method(request, "GET, HEAD", _("The history is read with GET."))
    target = require_channel(conf.load_catalogue(), channel)
    visitor = Visitor.of(request)
    before, number = _before(visitor.field("before")), _number(visitor.field("limit"))
    if target.rule != "public":
        await visitor.see(target)
    if target.is_wildcard:
        raise Problem(400, _("A pattern has no pages of its history. Name one channel."))
    LargeAnswer.require_room()
    with redis_answers():
        page = await _read(target, before, number)
    body = _body(target.name, told(target.name, page, before), more=page.more)
    return json_response(body, LargeAnswer)


def _before(text: str) -> Position | None:
    position = Position.parse(text)
    if text and position is None:
        raise Problem(400, _("before is not valid. Use the id of a message, epoch-offset."))
    return position


def _number(text: str) -> int:
    if not text:
        return MESSAGES
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= MAX_MESSAGES:
        detail = _("limit is not valid. Use a whole number from 1 to %(limit)d.")
        raise Problem(400, detail % {"limit": MAX_MESSAGES})
    return int(text)


async def _read(target: Target, before: Position | None, number: int) -> Page:
    """Raises RedisUnavailable."""
    spec = target.spec
    if not spec.history:
        return Page([], None, more=False)
    keys = Keys.of(conf.load().prefix, target.name)
    stream = RedisStream(await commands(), keys, spec.history_size, spec.history_seconds)
    return await stream.page(before, number, MAX_BYTES)


# -- as JSON


def _body(name: str, items: Sequence[Entry | Gap], *, more: bool) -> bytes:
    """Drops the oldest items of what is too large as JSON. A page never begins with a gap by that."""
    texts = [_text(item) for item in items]
    first = _first_that_fits(items, texts)
    head = json.dumps({"channel": name, "messages": []}, ensure_ascii=False).encode()
    end = b"true" if more or first else b"false"
    return head.removesuffix(b"]}") + b", ".join(texts[first:]) + b'], "more": %b}' % end


def _first_that_fits(items: Sequence[Entry | Gap], texts: Sequence[bytes]) -> int:
    size = 0
    first = len(items)
    for index in _newest_first(items):
        size += sum(map(len, texts[index:first]))
        if size > MAX_BYTES and first < len(items):
            return first
        first = index
    return 0


def _newest_first(items: Sequence[Entry | Gap]) -> Iterable[int]:
    """The indices of the messages."""
    return (n for n in reversed(range(len(items))) if isinstance(items[n], Entry))


def _text(item: Entry | Gap) -> bytes:
    if isinstance(item, Gap):
        gap = {"reason": str(item.reason), "missed": item.missed}
        return json.dumps({"gap": gap, "id": str(item.end)}).encode()
    event, data = sse.read_event(item.event or b"")
    message = {"id": str(item.position), "time": item.time_ms, "event": event, "data": data}
    return json.dumps(message, ensure_ascii=False).encode()
