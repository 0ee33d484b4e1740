"""`GET /channels/`; docs/protocol.md is what it promises.

What is asked for (`q`) is compared only with channels that the visitor may see, after their rules were
asked. So neither the answer nor its time tells whether another channel exists.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from relay import conf
from relay.access.entrance import viewers
from relay.access.identity import Viewer
from relay.access.problem import Problem
from relay.access.sight import Sight
from relay.broker.errors import RedisUnavailable
from relay.broker.keys import HubKeys
from relay.conf.catalogue import Catalogue, Target
from relay.control.open_channels import Look, OpenChannels
from relay.control.presence import PresenceReader
from relay.http.publish import Rights
from relay.http.refusal import problems, require_method
from relay.http.visitor import Visitor, json_response
from relay.publishing.clients import commands

MAX_CHANNELS = 200
MAX_TEXT = 200
"""How many characters of a name can be searched for."""

_open_channels = OpenChannels()


@problems
async def channels(request: HttpRequest) -> HttpResponse:
    """Answers {"channels": [...], "more"}: those that the visitor may see."""
    require_method(request, "GET, HEAD", _("The list of channels is read with GET."))
    visitor = Visitor.of(request)
    text = visitor.field("q")
    if len(text) > MAX_TEXT:
        detail = _("q is not valid. Use a part of a name, up to %(limit)d characters.")
        raise Problem(400, detail % {"limit": MAX_TEXT})
    catalogue, keys, connected = conf.load_catalogue(), _keys(), await commands()
    sight = Sight(await _viewers(visitor), visitor.request.scope)
    search = _Search(text, sight, catalogue, PresenceReader(connected, keys))
    found, more = await search.run(await _open_channels.look(connected, keys, catalogue))
    rights = await Rights.of(request)
    answer = {"channels": [each.as_json(rights) for each in found], "more": more}
    return json_response(json.dumps(answer, ensure_ascii=False).encode())


async def _viewers(visitor: Visitor) -> Sequence[Viewer]:
    """Returns nobody for cookies that a page of another origin made the browser send."""
    try:
        credentials = visitor.credentials()
    except Problem:
        return []
    return await viewers(credentials)


def _keys() -> HubKeys:
    return HubKeys(conf.load().prefix)


@dataclass(frozen=True, slots=True)
class _Found:
    """A channel that the visitor may see. `streams` is None where the number is not known."""

    target: Target
    streams: int | None

    def as_json(self, rights: Rights) -> dict[str, Any]:
        return {
            "name": self.target.name,
            "wildcard": self.target.is_wildcard,
            "streams": self.streams,
            "publish": rights.cover(self.target),
            "envelope": self.target.spec.envelope,
        }


class _Search:
    """Finds what the visitor may see and has the text in its name, in upper or lower case."""

    def __init__(
        self, text: str, sight: Sight, catalogue: Catalogue, presence: PresenceReader
    ) -> None:
        self._text = text
        self._folded = text.casefold()
        self._sight = sight
        self._catalogue = catalogue
        self._presence = presence

    async def run(self, look: Look | None) -> tuple[Sequence[_Found], bool]:
        """Returns up to MAX_CHANNELS, and whether there are or may be more."""
        found = await self._fixed(self._catalogue.named, look)
        found += await self._fixed(self._catalogue.wildcards, look)
        if look is None:
            more = any(spec.is_pattern for spec in self._catalogue.specs)
        else:
            opened, more = await self._open(look, MAX_CHANNELS + 1 - len(found))
            found += opened
        more = more or self._sight.is_cut or len(found) > MAX_CHANNELS
        return found[:MAX_CHANNELS], more

    async def _fixed(self, targets: Sequence[Target], look: Look | None) -> list[_Found]:
        seen = [target async for target in self._sight.among(targets) if self._fits(target)]
        seen.sort(key=_name)
        return [_Found(target, look.fixed.get(target.name, 0) if look else None) for target in seen]

    async def _open(self, look: Look, number: int) -> tuple[Sequence[_Found], bool]:
        """Returns up to `number` channels of patterns.

        Also returns whether the look left out some, as far as the visitor may know: one who sees none of
        these channels does not learn how many there are.
        """
        seen: dict[str, Target] = {}
        sees_any = False
        async for target in self._sight.among(self._in_order(look)):
            if len(seen) >= number:
                break
            if target.name in look.open or await self._is_open(target, look):
                sees_any = True
                if self._fits(target):
                    seen[target.name] = target
        found = [_Found(target, look.streams(name)) for name, target in seen.items()]
        found.sort(key=_most_streams_first)
        if not look.complete:
            found = [_Found(each.target, None) for each in found]
        return found, sees_any and not look.complete

    async def _is_open(self, target: Target, look: Look) -> bool:
        """Whether a channel that the look has left out is open; asked about one alone."""
        if look.complete:
            return False
        try:
            return await self._presence.count(target.name) > 0
        except RedisUnavailable:
            return False

    def _in_order(self, look: Look) -> Iterator[Target]:
        """The channel that has the text as its whole name comes first, whether or not it is open."""
        target = self._catalogue.find(self._text)
        if target is not None and target.spec.is_pattern and not target.is_wildcard:
            yield target
        for target, _count in look.open.values():
            if target.name != self._text:
                yield target

    def _fits(self, target: Target) -> bool:
        return self._folded in target.name.casefold()


def _name(target: Target) -> str:
    return target.name


def _most_streams_first(found: _Found) -> tuple[int, str]:
    return -(found.streams or 0), found.target.name
