"""The epochs of one feed in order: the position of each message, and its place in the ring."""

from dataclasses import dataclass

from relay.feed.places import Places
from relay.feed.ring import Ring
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


class Timeline(Places[Segment]):
    """The places of a feed whose messages are numbered by epochs."""

    def __init__(self, ring: Ring) -> None:
        super().__init__(ring)
        self.epoch = 0
        """The epoch of the newest position; 0 before the first marker."""
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

    def _start_of(self, segment: Segment) -> Position:
        return Position(segment.epoch, segment.count - segment.base)

    def _count_at(self, segment: Segment, position: Position) -> int:
        return segment.base + position.offset

    def _position_after(self, segment: Segment, count: int) -> Position:
        return Position(segment.epoch, count - segment.base)
