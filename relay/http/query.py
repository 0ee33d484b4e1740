"""Which channels a client asks for, and where its stream starts. A request may hold anything."""

import re
from collections.abc import Container, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote

from django.utils.translation import gettext as _

from relay.access.problem import Problem
from relay.conf.catalogue import Catalogue, Target
from relay.feed.start import After, Live, Rewind, Since, Start
from relay.wire import stream_id
from relay.wire.position import Position

MAX_FIELDS = 100

MAX_CHANNELS = 50
"""How many channels one stream can have."""

MAX_NAMES_BYTES = 4096
"""How long their names may be, percent-encoded. An id holds all of them and returns in a header."""

MAX_TIME_LENGTH = 64
"""No time in ISO 8601 is longer."""

LAST_EVENT_ID = ("last_event_id", "lastEventId", "lastEventID", "last-event-id")
"""Names of the last event id in a query; the later ones are those of polyfills and of other hubs."""

_SPAN = re.compile(r"([0-9]{1,9})(s|m|h|d)")
_SPAN_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_UNIX_MS = re.compile(r"[0-9]{1,15}")
_OFFSET = re.compile(r" (?=[0-9]{2}:?[0-9]{2}\Z)")  # in a query, + is a space
_SECONDS = re.compile(r"[0-9]{1,4}(\.[0-9]{1,3})?")
_NUMBER = re.compile(r"[0-9]{1,9}")


Query = Mapping[str, Sequence[str]]
"""As urllib.parse.parse_qs returns it."""


def parse_query(query_string: bytes) -> Query:
    """Returns the fields of a query, undecodable bytes replaced. Raises ValueError for too many."""
    if not query_string:
        return {}
    try:
        return parse_qs(query_string.decode("latin-1"), max_num_fields=MAX_FIELDS)
    except ValueError:
        raise ValueError(_("The query has too many fields.")) from None


def require_channel(catalogue: Catalogue, name: str) -> Target:
    """Returns what the catalogue has under a name. Raises Problem, which never repeats the name.

    404 for what is not there, 400 for a pattern of stream channels.
    """
    target = catalogue.find(name)
    if target is None and catalogue.is_stored_pattern(name):
        raise Problem(
            400, _("These channels are streams of Redis. Name each one: they have no wildcard.")
        )
    if target is None:
        raise Problem(404, _("There is no such channel."))
    return target


def find_channels(catalogue: Catalogue, names: Sequence[str]) -> list[Target]:
    """Returns what the catalogue has under each name, each once.

    Raises Problem: 400 for too many names, 404 for one that is not there.
    """
    if len(names) > MAX_CHANNELS:
        text = _("A stream can have up to %(limit)d channels.")
        raise Problem(400, text % {"limit": MAX_CHANNELS})
    if len(names) > 1 and sum(len(quote(name)) for name in names) > MAX_NAMES_BYTES:
        text = _("The names of a stream's channels can have up to %(limit)d bytes.")
        raise Problem(400, text % {"limit": MAX_NAMES_BYTES})
    return [require_channel(catalogue, name) for name in dict.fromkeys(names)]


def parse_starts(
    names: Sequence[str],
    last_event_id: bytes | None,
    query: Query,
    now_ms: int,
    stored: Container[str] = (),
) -> Mapping[str, Start]:
    """Returns where each channel of a stream starts. `stored` holds the stream channels among `names`.

    The `Last-Event-ID` header wins, then an id in the query, `rewind` and `since`. An id
    without names is the first channel's. A channel that the id does not name starts as `rewind` or
    `since` says, or now.

    Raises ValueError, with a sentence for the developer, for a `rewind` or `since` that cannot be
    read. A last event id never raises.
    """
    text = (last_event_id or b"").decode("latin-1") or _id_in(query)
    named = _after(names, text, stored) if text else {}
    if len(named) == len(names):
        return named
    start: Start = Live()
    if "rewind" in query:
        start = _rewind(query["rewind"][0])
    elif "since" in query:
        start = Since(_time_ms(query["since"][0], now_ms))
    return dict.fromkeys(names, start) | named


def _id_in(query: Query) -> str:
    found = (query[name][0] for name in LAST_EVENT_ID if name in query)
    return next(found, "")


def _after(names: Sequence[str], text: str, stored: Container[str]) -> dict[str, Start]:
    """Returns the starts of the channels that an id names."""
    position = _position(names[0], text, stored)
    if position is not None:
        return {names[0]: After(position)}
    positions = stream_id.decode(text)
    if positions is None:
        return dict.fromkeys(names, After(None))
    return {n: After(_position(n, positions[n], stored)) for n in names if n in positions}


def _position(name: str, text: str, stored: Container[str]) -> Position | None:
    return Position.parse_entry(text) if name in stored else Position.parse(text)


def parse_latest(query: Query) -> float | None:
    """Returns the interval of `latest` in seconds. Raises ValueError unless it is a number in range."""
    text = query.get("latest", [""])[0]
    if not text:
        return None
    if not _SECONDS.fullmatch(text) or not 0.05 <= float(text) <= 3600:
        raise ValueError(_("latest is not valid. Use a number of seconds from 0.05 to 3600."))
    return float(text)


def _rewind(text: str) -> Start:
    if text == "all":
        return Rewind(None)
    if not _NUMBER.fullmatch(text):
        raise ValueError(_("rewind is not valid. Use a whole number of messages, or all."))
    return Rewind(int(text)) if int(text) else Live()


def _with_offset(text: str) -> str:
    """Returns an ISO 8601 time with the `+` of its offset, which a query turns into a space."""
    return _OFFSET.sub("+", text) if "T" in text else text


def _time_ms(text: str, now_ms: int) -> int:
    span = _SPAN.fullmatch(text)
    if span:
        return max(now_ms - int(span[1]) * _SPAN_MS[span[2]], 0)
    if _UNIX_MS.fullmatch(text):
        return int(text)
    try:
        if text[4:5] != "-" or len(text) > MAX_TIME_LENGTH:
            raise ValueError
        moment = datetime.fromisoformat(_with_offset(text))
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        text = _(
            "since is not valid. Use an ISO 8601 time, Unix milliseconds, or a span such as 10m"
            " (s, m, h, d)."
        )
        raise ValueError(text) from None
