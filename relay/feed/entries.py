"""What follows what: the entries of the history, and what is missing between two of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from relay.wire.position import Position


@dataclass(frozen=True, slots=True)
class Entry:
    """A message, or the boundary where an epoch begins (offset 0, no event).

    `previous` is known of a boundary that somebody counted straight through: the last position of
    the epoch before, with nothing published in between. `time_ms` is Unix time.
    """

    position: Position
    event: bytes | None
    previous: Position | None
    time_ms: int
    source: bytes = b""
    """The channel of a message that came by a pattern, percent-encoded."""


@dataclass(frozen=True, slots=True)
class Run:
    """A contiguous run of one epoch, from the offset of `first`; offset 0 is its boundary."""

    first: Position
    previous: Position | None
    entries: Sequence[tuple[int, bytes]]
    """(time_ms, event) of each entry; the boundary's event is empty."""

    @property
    def last(self) -> Position:
        return Position(self.first.epoch, self.first.offset + len(self.entries) - 1)


def missed_between(at: Position, entry: Entry) -> int | None:
    """How many messages lie between `at` and a later entry; None where the history cannot tell."""
    epoch, offset = entry.position
    if epoch == at.epoch:
        return offset - at.offset - 1
    previous = entry.previous
    if previous is not None and previous.epoch == at.epoch and previous.offset >= at.offset:
        return previous.offset - at.offset
    return None
