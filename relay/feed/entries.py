"""The entries of the history, and how many messages are missing between two of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from relay.wire.position import Position


@dataclass(frozen=True, slots=True)
class Entry:
    """A message, or the boundary where an epoch begins (offset 0, no event).

    `previous` is set on a boundary whose writer received everything across the marker: the last
    position of the epoch before. It proves that nothing is missing in between. `time_ms` is Unix time.
    """

    position: Position
    event: bytes | None
    previous: Position | None
    time_ms: int
    source: bytes = b""
    """The channel of a message that was received by a pattern, percent-encoded."""


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive entries of one epoch, beginning at `first`; offset 0 is the boundary.

    `previous` is that of the boundary, see Entry.
    """

    first: Position
    previous: Position | None
    entries: Sequence[tuple[int, bytes]]
    """(time_ms, event) of each entry; the boundary's event is empty."""

    @property
    def last(self) -> Position:
        return Position(self.first.epoch, self.first.offset + len(self.entries) - 1)


def missed_between(position: Position, entry: Entry) -> int | None:
    """Returns the number of messages between `position` and a later entry; None if unknown."""
    epoch, offset = entry.position
    if epoch == position.epoch:
        return offset - position.offset - 1
    previous = entry.previous
    if (
        previous is not None
        and previous.epoch == position.epoch
        and previous.offset >= position.offset
    ):
        return previous.offset - position.offset
    return None
