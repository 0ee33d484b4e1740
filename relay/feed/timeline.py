"""The epochs of one feed in order: the position of each message, and its place in the ring."""

from dataclasses import dataclass

from relay.feed.ring import Place, Ring
from relay.wire.position import Position

MAX_SEGMENTS = 1024
"""Segments kept at most, beside those in the ring. They give an old id its distance in messages."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the feed in one epoch: the `n`-th message of the feed has offset `n - base`."""

    epoch: int
    base: int
    count: int
    """The number of messages before it."""
    index: int
    """The index in the ring at which it begins, after the notice of a gap before it, if any."""
    previous: Position | None
    """Of a boundary: the last position before it, with nothing published in between; else None."""
    whole: bool
    """Whether nothing can be missing between the previous segment and this one."""
    time_ms: int


class Timeline:
    """Translates between positions, which all processes share, and places in this process' ring."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.count = 0
        """The number of messages since this process started."""
        self.epoch = 0
        """The epoch of the newest position; 0 before the first marker."""
        self.segments: list[Segment] = []
        self._base = 0
        self._position: Position | None = None

    @property
    def position(self) -> Position | None:
        """The newest position, the same object until it changes; None before the first marker."""
        if not self.segments:
            return None
        position = self._position
        offset = self.count - self._base
        if position is None or position.offset != offset or position.epoch != self.epoch:
            position = self._position = Position(self.epoch, offset)
        return position

    @property
    def first_position(self) -> Position | None:
        """The start of the oldest segment that is kept; None before the first marker."""
        return Position(self.segments[0].epoch, 0) if self.segments else None

    @property
    def newest_epoch(self) -> int:
        """The greatest epoch in the segments that are kept; 0 for none."""
        return max((segment.epoch for segment in self.segments), default=0)

    # -- input

    def advance(self) -> int:
        """Counts one message. Returns its offset in the epoch."""
        self.count += 1
        return self.count - self._base

    def begin(
        self, epoch: int, previous: Position | None, time_ms: int, *, whole: bool, offset: int = 0
    ) -> None:
        """Begins a segment at the end of the ring. Its first message will have `offset + 1`."""
        self.epoch, self._base = epoch, self.count - offset
        self.segments.append(
            Segment(epoch, self._base, self.count, self.ring.end, previous, whole, time_ms)
        )
        while len(self.segments) > MAX_SEGMENTS and self.segments[1].index <= self.ring.start:
            del self.segments[0]

    # -- places and positions

    def find(self, position: Position) -> Place | None:
        """Returns the place from which a client at `position` continues; None if not in the ring."""
        segment = self._segment_of(position)
        if segment is None:
            return None
        ring, count = self.ring, segment.base + position.offset
        index = segment.index if count == segment.count else ring.index_after(count)
        if count == ring.dropped and index is not None and index <= ring.start:
            # Only notices were evicted since. A notice of a gap must not be lost.
            return (
                Place(ring.start, count) if self.unbroken(segment.index + 1, ring.start) else None
            )
        return Place(index, count) if index is not None and index >= ring.start else None

    def place_beyond(self, position: Position) -> Place:
        """Returns the first place in the ring after `position`, which itself is not in the ring."""
        ring = self.ring
        if self.knows(position):
            return ring.place(ring.start)
        for segment in self.segments:
            if (segment.epoch, segment.count - segment.base) >= position:
                return ring.place(max(segment.index, ring.start))
        return ring.end_place

    def position_at(self, place: Place) -> Position | None:
        """Returns the position of a client that has read everything before `place`; None if unknown."""
        for segment in reversed(self.segments):
            if segment.index <= place.cursor:
                return Position(segment.epoch, place.seen - segment.base)
        return None

    def missed_since(self, position: Position, place: Place) -> int | None:
        """Returns the number of messages between `position` and `place`; None if unknown."""
        segment = self._segment_of(position)
        if segment is None or not self.unbroken(segment.index + 1, place.cursor):
            return None
        return place.seen - segment.base - position.offset

    def distance(self, start: Position, end: Position) -> int | None:
        """Returns the number of messages between two positions; None if unknown."""
        first, last = self._segment_of(start), self._segment_of(end)
        if first is None or last is None or not self.unbroken(first.index + 1, last.index):
            return None
        return last.base + end.offset - first.base - start.offset

    def unbroken(self, first: int, last: int) -> bool:
        """Whether nothing can be missing from the index `first` up to the index `last`."""
        return all(s.whole for s in self.segments if first <= s.index <= last)

    def knows(self, position: Position) -> bool:
        """Whether this process has received the message, or marker, at `position`."""
        return self.number_of(position) is not None

    def number_of(self, position: Position) -> int | None:
        """Returns the index in `segments` of the segment that holds `position`; None if none does."""
        end = self.count
        for number in range(len(self.segments) - 1, -1, -1):
            segment = self.segments[number]
            count = segment.base + position.offset
            if segment.epoch == position.epoch and segment.count <= count <= end:
                return number
            end = segment.count
        return None

    def _segment_of(self, position: Position) -> Segment | None:
        number = self.number_of(position)
        return None if number is None else self.segments[number]
