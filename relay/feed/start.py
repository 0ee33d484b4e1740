"""The places where a stream can start."""

from dataclasses import dataclass

from relay.wire.position import Position


@dataclass(frozen=True, slots=True)
class Live:
    """With the next message."""


@dataclass(frozen=True, slots=True)
class After:
    """After the client's position; None for a last event id that is no position."""

    position: Position | None


@dataclass(frozen=True, slots=True)
class Rewind:
    """With the last `number` messages; None for all that are kept."""

    number: int | None


@dataclass(frozen=True, slots=True)
class Since:
    """With the first message published at or after `time_ms` (Unix time)."""

    time_ms: int


Start = Live | After | Rewind | Since
