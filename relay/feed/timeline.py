"""Which position a message has, and where in the ring: the epochs of one feed, in order."""

from dataclasses import dataclass

from relay.feed.ring import Place, Ring
from relay.wire.position import Position

MAX_SEGMENTS = 1024
"""Segments remembered beyond those in the ring: they tell how many messages an old id is behind."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the feed with one numbering: the `n`-th message of all has offset `n - base`."""

    epoch: int
    base: int
    count: int
    """The number of messages before it."""
    index: int
    """Where in the ring it begins, after the gap that may stand before it."""
    previous: Position | None
    """Of a whole epoch: the last position before it, if nothing was published in between."""
    whole: bool
    """Nothing is missing, or may be, between the segment before and this one."""
    time_ms: int


class Timeline:
    """Translates between positions, which all processes share, and places in this process' ring."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.count = 0
        """Messages in all, since this process started."""
        self.epoch = 0
        """That of the newest position; 0 before the first marker."""
        self.segments: list[Segment] = []
        self._base = 0
        self._position: Position | None = None

    @property
    def position(self) -> Position | None:
        """The newest position, one object until it changes; None before the first marker."""
        if not self.segments:
            return None
        position = self._position
        offset = self.count - self._base
        if position is None or position.offset != offset or position.epoch != self.epoch:
            position = self._position = Position(self.epoch, offset)
        return position

    @property
    def first_position(self) -> Position | None:
        """Where this process began to count, as far as it remembers; None before the first marker."""
        return Position(self.segments[0].epoch, 0) if self.segments else None

    @property
    def newest_epoch(self) -> int:
        """The greatest epoch this process has received, 0 for none."""
        return max((segment.epoch for segment in self.segments), default=0)

    # -- what comes in

    def advance(self) -> int:
        """Counts one message; returns its offset in the epoch."""
        self.count += 1
        return self.count - self._base

    def begin(
        self, epoch: int, previous: Position | None, time_ms: int, *, whole: bool, offset: int = 0
    ) -> None:
        """Begins a segment at the end of the ring; its first message will have `offset + 1`."""
        self.epoch, self._base = epoch, self.count - offset
        self.segments.append(
            Segment(epoch, self._base, self.count, self.ring.end, previous, whole, time_ms)
        )
        while len(self.segments) > MAX_SEGMENTS and self.segments[1].index <= self.ring.start:
            del self.segments[0]

    # -- places and positions

    def find(self, position: Position) -> Place | None:
        """The place in the ring where a client at `position` reads on; None if it is not there."""
        segment = self._segment_of(position)
        if segment is None:
            return None
        ring, count = self.ring, segment.base + position.offset
        index = segment.index if count == segment.count else ring.index_after(count)
        if count == ring.dropped and index is not None and index <= ring.start:
            # Only notices were dropped since. A notice of a gap must not be lost.
            return (
                Place(ring.start, count) if self.unbroken(segment.index + 1, ring.start) else None
            )
        return Place(index, count) if index is not None and index >= ring.start else None

    def place_beyond(self, position: Position) -> Place:
        """The first place in the ring where everything is later than `position`, which is not in it."""
        ring = self.ring
        if self.knows(position):
            return ring.place(ring.start)
        for segment in self.segments:
            if (segment.epoch, segment.count - segment.base) >= position:
                return ring.place(max(segment.index, ring.start))
        return ring.end_place

    def position_at(self, place: Place) -> Position | None:
        """The position of a client that has read everything before `place`."""
        for segment in reversed(self.segments):
            if segment.index <= place.cursor:
                return Position(segment.epoch, place.seen - segment.base)
        return None

    def missed_since(self, position: Position, place: Place) -> int | None:
        """How many messages lie between `position` and `place`; None where that cannot be known."""
        segment = self._segment_of(position)
        if segment is None or not self.unbroken(segment.index + 1, place.cursor):
            return None
        return place.seen - segment.base - position.offset

    def distance(self, start: Position, end: Position) -> int | None:
        """How many messages lie between two positions; None where that cannot be known."""
        first, last = self._segment_of(start), self._segment_of(end)
        if first is None or last is None or not self.unbroken(first.index + 1, last.index):
            return None
        return last.base + end.offset - first.base - start.offset

    def unbroken(self, first: int, last: int) -> bool:
        """Whether nothing is missing, or may be, from the place `first` up to the place `last`."""
        return all(s.whole for s in self.segments if first <= s.index <= last)

    def knows(self, position: Position) -> bool:
        """Whether this process has counted the message at `position`, or the marker."""
        return self.number_of(position) is not None

    def number_of(self, position: Position) -> int | None:
        """The index in `segments` of the one that holds `position`."""
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
