"""The report of a hub process about itself, as Redis holds it. No I/O, no clock."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_BYTES = 4096
"""A longer entry is not read."""

MAX_TEXT = 255
MAX_NUMBER = 2**53
"""Every reader of JSON has the whole numbers below it."""

MAX_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""


class State(StrEnum):
    LIVE = "live"
    """The connection to Redis stands, and every part runs."""
    LOST = "lost"
    """It does not, or not yet, or a part of the process has failed."""
    DRAINING = "draining"
    """The process stops: it takes no new streams and ends the open ones."""


@dataclass(frozen=True, slots=True)
class Report:
    """None is a value that is unknown: a process of another version may report less, or in another form."""

    host: str | None = None
    pid: int | None = None
    version: str | None = None
    state: State | None = None
    started_ms: int | None = None
    """Unix time by the clock of the host."""
    streams: int | None = None
    """Open now."""
    channels: int | None = None
    """Channels and patterns that the process is subscribed to."""
    messages: int | None = None
    """Received from Redis since the start."""
    messages_per_second: float | None = None
    gaps: int | None = None
    """`hub.gap` events since the start."""

    def encode(self) -> str:
        """Returns one JSON object."""
        return json.dumps({name: getattr(self, name) for name in _READERS}, separators=(",", ":"))

    @classmethod
    def decode(cls, text: bytes) -> "Report":
        """Reads a report. Never raises: each value that cannot be read is None."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            return cls()
        if not isinstance(values, Mapping):
            return cls()
        return cls(**{name: read(values.get(name)) for name, read in _READERS.items()})


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= MAX_TEXT else None


def _number(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < MAX_NUMBER else None


def _milliseconds(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= MAX_MS else None


def _rate(value: Any) -> float | None:
    return value if type(value) in (int, float) and 0 <= value < MAX_NUMBER else None


def _state(value: Any) -> State | None:
    return State(value) if value in list(State) else None


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "host": _text,
    "pid": _number,
    "version": _text,
    "state": _state,
    "started_ms": _milliseconds,
    "streams": _number,
    "channels": _number,
    "messages": _number,
    "messages_per_second": _rate,
    "gaps": _number,
}
