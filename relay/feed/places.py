"""Where positions lie in the ring: what the timelines of all kinds of feeds have in common."""

from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

from relay.feed.ring import Place, Ring
from relay.wire.position import Position


class Stretch(Protocol):
    """A part of a feed within which nothing is missing."""

    @property
    def count(self) -> int:
        """The number of messages before it."""

    @property
    def index(self) -> int:
        """The index in the ring at which it begins, after the notice of a gap before it, if any."""

    @property
    def whole(self) -> bool:
        """Whether nothing can be missing between the previous stretch and this one."""


AnyStretch = TypeVar("AnyStretch", bound=Stretch)


class Places(ABC, Generic[AnyStretch]):
    """Translates between positions, which all processes share, and places in this process' ring."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.count = 0
        """The number of messages since this process started."""
        self.segments: list[AnyStretch] = []

    # -- what a position is, differs

    @property
    @abstractmethod
    def position(self) -> Position | None:
        """The newest position, the same object until it changes; None before the first one."""

    @property
    def first_position(self) -> Position | None:
        """The start of the oldest segment that is kept; None before the first position."""
        return self._start_of(self.segments[0]) if self.segments else None

    @abstractmethod
    def number_of(self, position: Position) -> int | None:
        """Returns the index in `segments` of the segment that holds `position`; None if none does."""

    @abstractmethod
    def _start_of(self, segment: AnyStretch) -> Position:
        """Returns the position before the first message of a segment."""

    @abstractmethod
    def _count_at(self, segment: AnyStretch, position: Position) -> int:
        """Returns the number of messages up to a position that the segment holds."""

    @abstractmethod
    def _position_after(self, segment: AnyStretch, count: int) -> Position | None:
        """Returns the position of the `count`-th message, which is in the segment or just before it."""

    # -- places and positions

    def find(self, position: Position) -> Place | None:
        """Returns the place from which a client at `position` continues; None if not in the ring."""
        segment = self._segment_of(position)
        if segment is None:
            return None
        ring, count = self.ring, self._count_at(segment, position)
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
            if self._start_of(segment) >= position:
                return ring.place(max(segment.index, ring.start))
        return ring.end_place

    def position_at(self, place: Place) -> Position | None:
        """Returns the position of a client that has read everything before `place`; None if unknown."""
        for segment in reversed(self.segments):
            if segment.index <= place.cursor:
                return self._position_after(segment, place.seen)
        return None

    def missed_since(self, position: Position, place: Place) -> int | None:
        """Returns the number of messages between `position` and `place`; None if unknown."""
        segment = self._segment_of(position)
        if segment is None or not self.unbroken(segment.index + 1, place.cursor):
            return None
        return place.seen - self._count_at(segment, position)

    def distance(self, start: Position, end: Position) -> int | None:
        """Returns the number of messages between two positions; None if unknown."""
        first, last = self._segment_of(start), self._segment_of(end)
        if first is None or last is None or not self.unbroken(first.index + 1, last.index):
            return None
        return self._count_at(last, end) - self._count_at(first, start)

    def unbroken(self, first: int, last: int) -> bool:
        """Whether nothing can be missing from the index `first` up to the index `last`."""
        return all(s.whole for s in self.segments if first <= s.index <= last)

    def knows(self, position: Position) -> bool:
        """Whether this process has received the message, or marker, at `position`."""
        return self.number_of(position) is not None

    def _segment_of(self, position: Position) -> AnyStretch | None:
        number = self.number_of(position)
        return None if number is None else self.segments[number]
