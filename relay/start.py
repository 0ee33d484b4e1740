"""Where a client wants its stream to start: read from its request, which may hold anything."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs

from relay.position import Position

_SPAN = re.compile(r"([0-9]{1,9})(s|m|h|d)")
_SPAN_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_UNIX_MS = re.compile(r"[0-9]{1,15}")
_OFFSET = re.compile(r"(T.*) (?=[0-9]{2}:?[0-9]{2}$)")  # in a query, + is a space
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Live:
    """What is published from now on."""


@dataclass(frozen=True, slots=True)
class After:
    """Everything after a position the client has; None for a last event id that is no position."""

    position: Position | None


@dataclass(frozen=True, slots=True)
class Rewind:
    """The last `number` messages first; None for all that are kept."""

    number: int | None


@dataclass(frozen=True, slots=True)
class Since:
    """What was published since `time_ms` (Unix time) first."""

    time_ms: int


Start = Live | After | Rewind | Since


def parse_start(last_event_id: bytes | None, query_string: bytes, now_ms: int) -> Start:
    """The `Last-Event-ID` header wins, then `last_event_id`, `rewind` and `since` of the query.

    Raises ValueError, with a sentence for the developer, for a `rewind` or `since` that cannot be
    read; a last event id never raises.
    """
    if last_event_id:
        return After(Position.parse(last_event_id.decode("latin-1")))
    if not query_string:
        return Live()
    query = parse_qs(query_string.decode("latin-1"), max_num_fields=100)
    if "last_event_id" in query:
        return After(Position.parse(query["last_event_id"][0]))
    if "rewind" in query:
        return _rewind(query["rewind"][0])
    if "since" in query:
        return Since(_time_ms(query["since"][0], now_ms))
    return Live()


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
