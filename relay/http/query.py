"""Where a client wants its stream to start: read from its request, which may hold anything."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote

from relay.conf.catalogue import Catalogue, Target
from relay.feed.start import After, Live, Rewind, Since, Start
from relay.wire import stream_id
from relay.wire.position import Position

MAX_CHANNELS = 50
"""How many channels one stream can have."""

MAX_NAMES_BYTES = 4096
"""How long their names may be, percent-encoded: an id holds them all, and comes back in a header."""

_SPAN = re.compile(r"([0-9]{1,9})(s|m|h|d)")
_SPAN_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_UNIX_MS = re.compile(r"[0-9]{1,15}")
_OFFSET = re.compile(r"(T.*) (?=[0-9]{2}:?[0-9]{2}$)")  # in a query, + is a space
_SECONDS = re.compile(r"[0-9]{1,4}(\.[0-9]{1,3})?")
_NUMBER = re.compile(r"[0-9]{1,9}")


Query = Mapping[str, Sequence[str]]
"""As urllib.parse.parse_qs returns it."""


def parse_query(query_string: bytes) -> Query:
    """The fields of a query, undecodable bytes replaced. Raises ValueError for more than a hundred."""
    return parse_qs(query_string.decode("latin-1"), max_num_fields=100) if query_string else {}


def find_channels(catalogue: Catalogue, names: Sequence[str]) -> list[Target]:
    """What the catalogue has under each name, each once.

    Raises ValueError for too many names, LookupError for one that is not there; neither repeats it.
    """
    if len(names) > MAX_CHANNELS:
        raise ValueError(f"A stream can have up to {MAX_CHANNELS} channels.")
    if len(names) > 1 and sum(len(quote(name)) for name in names) > MAX_NAMES_BYTES:
        raise ValueError(
            f"The names of a stream's channels can have up to {MAX_NAMES_BYTES} bytes."
        )
    founds = [catalogue.find(name) for name in dict.fromkeys(names)]
    if None in founds:
        raise LookupError("There is no such channel.")
    return [found for found in founds if found is not None]


def parse_starts(
    names: Sequence[str], last_event_id: bytes | None, query: Query, now_ms: int
) -> Mapping[str, Start]:
    """For each channel of a stream, where it starts.

    The `Last-Event-ID` header wins, then `last_event_id`, `rewind` and `since` of the query. An id
    without names is the first channel's; a channel that the id does not name starts now.

    Raises ValueError, with a sentence for the developer, for a `rewind` or `since` that cannot be
    read; a last event id never raises.
    """
    text = (last_event_id or b"").decode("latin-1") or query.get("last_event_id", [""])[0]
    if text:
        return _after(names, text)
    start: Start = Live()
    if "rewind" in query:
        start = _rewind(query["rewind"][0])
    elif "since" in query:
        start = Since(_time_ms(query["since"][0], now_ms))
    return dict.fromkeys(names, start)


def _after(names: Sequence[str], text: str) -> Mapping[str, Start]:
    position = Position.parse(text)
    if position is not None:
        return dict.fromkeys(names, Live()) | {names[0]: After(position)}
    positions = stream_id.decode(text)
    if positions is None:
        return dict.fromkeys(names, After(None))
    return {name: After(positions[name]) if name in positions else Live() for name in names}


def parse_latest(query: Query) -> float | None:
    """The interval of `latest`, in seconds. Raises ValueError for what is none."""
    text = query.get("latest", [""])[0]
    if not text:
        return None
    if not _SECONDS.fullmatch(text) or not 0.05 <= float(text) <= 3600:
        raise ValueError("latest is not valid. Use a number of seconds from 0.05 to 3600.")
    return float(text)


def _rewind(text: str) -> Start:
    if text == "all":
        return Rewind(None)
    if not _NUMBER.fullmatch(text):
        raise ValueError("rewind is not valid. Use a whole number of messages, or all.")
    return Rewind(int(text)) if int(text) else Live()


def _time_ms(text: str, now_ms: int) -> int:
    span = _SPAN.fullmatch(text)
    if span:
        return max(now_ms - int(span[1]) * _SPAN_MS[span[2]], 0)
    if _UNIX_MS.fullmatch(text):
        return int(text)
    try:
        if text[4:5] != "-":
            raise ValueError
        moment = datetime.fromisoformat(_OFFSET.sub(r"\1+", text))
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise ValueError(
            "since is not valid. Use an ISO 8601 time, Unix milliseconds, or a span such as 10m"
            " (s, m, h, d)."
        ) from None
