"""Where a stream starts."""

from dataclasses import dataclass

from relay.wire.position import Position


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
