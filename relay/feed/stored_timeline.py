"""The places of a feed whose messages are the entries of a Redis Stream."""

from array import array
from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

from relay.feed.places import Places
from relay.feed.ring import Ring
from relay.wire.position import Position

MAX_SEGMENTS = 1024
"""Segments kept at most, beside those in the ring."""

KEPT_POSITIONS = 65_536
"""How many positions are kept beyond the ring, for the number in a gap; each takes 16 bytes."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Entries that follow each other. The first one has the least id above `origin` that there was."""

    origin: Position
    count: int
    """The number of messages before it."""
    index: int
    """The index in the ring at which it begins, after the notice of a gap before it, if any."""
    whole: bool
    """Whether nothing can be missing between the previous segment and this one."""


class Added(NamedTuple):
    """How many entries a stream had ever, and the greatest id that XDEL had removed by then."""

    number: int
    deleted: Position | None


class StoredTimeline(Places[Segment]):
    """Keeps the id of each message. After one id may come any greater one, so there is no counting.

    A position need not be the id of an entry that ever existed.
    """

    def __init__(self, ring: Ring) -> None:
        super().__init__(ring)
        self._parts = array("Q"), array("Q")
        """The milliseconds and the number of each id that is kept."""
        self._forgotten = 0
        """How many messages were before those."""
        self._floor = Position(0, 0)
        """The id of the last of them."""
        self._most = KEPT_POSITIONS * 2
        self._position: Position | None = None
        self._position_of: tuple[int, int] | None = None
        self._added: Added | None = None
        self.ended = False
        """Whether the stream was seen to be there no more: what comes under its key is a new one."""

    @property
    def position(self) -> Position | None:
        """The newest position, the same object until it changes; None before the first one."""
        if not self.segments:
            return None
        state = self.count, len(self.segments)
        if state != self._position_of:
            self._position_of = state
            position = self._last_of(len(self.segments) - 1)
            if position != self._position:
                self._position = position
        return self._position

    @property
    def at_message(self) -> bool:
        """Whether the newest position is the id of a message."""
        return bool(self.segments) and self.count > self.segments[-1].count

    # -- input

    def append(self, ms: int, number: int) -> int:
        """Adds the id of one message. Returns the number of messages up to it."""
        self.count += 1
        self.ended = False
        first, second = self._parts
        first.append(ms)
        second.append(number)
        if len(first) > self._most:
            self._forget()
        return self.count

    def begin(self, origin: Position, *, whole: bool) -> None:
        """Begins a segment at the end of the ring. Its messages come after `origin`."""
        self.segments.append(Segment(origin, self.count, self.ring.end, whole))
        while len(self.segments) > MAX_SEGMENTS and self.segments[1].index <= self.ring.start:
            del self.segments[0]
        self._position_of = self._added = None
        self.ended = False

    def end(self) -> None:
        """Records that the stream is there no more. Its counts say nothing of the next one."""
        self.ended = True
        self._added = None

    def note_added(self, added: int | None, deleted: Position | None) -> None:
        """Records how many entries the stream ever had up to the newest position, where Redis tells it.

        `deleted` is the greatest id that XDEL has removed.
        """
        self._added = None if added is None else Added(added - self.count, deleted)

    def added_at(self, position: Position) -> Added | None:
        """Returns how many entries the stream ever had up to a position; None if unknown."""
        number = self.number_of(position)
        if self._added is None or number is None or number < len(self.segments) - 1:
            return None
        count = self._count_at(self.segments[number], position)
        return Added(self._added.number + count, self._added.deleted)

    def _forget(self) -> None:
        """Drops the oldest positions, but none that is in the ring, nor the one before it."""
        number = min(KEPT_POSITIONS, self.ring.dropped - 1 - self._forgotten)
        if number > 0:
            self._floor = self._id(self._forgotten + number)
            for part in self._parts:
                del part[:number]
            self._forgotten += number
        self._most = max(len(self._parts[0]), KEPT_POSITIONS) + KEPT_POSITIONS

    # -- places and positions

    def number_of(self, position: Position) -> int | None:
        """Returns the index in `segments` of the segment that holds `position`; None if none does.

        Of several it is the newest: ids begin anew where a stream was replaced.
        """
        replaced = False
        for number in range(len(self.segments) - 1, -1, -1):
            if self._end(number) < self._forgotten:
                return None
            segment, last = self.segments[number], self._last_of(number)
            first = segment.origin if segment.count >= self._forgotten else self._floor
            replaced = replaced or (number < len(self.segments) - 1 and self._goes_back(number + 1))
            within = first <= position <= last
            if within and self._holds(segment, position, exactly=replaced):
                return number
        return None

    def _goes_back(self, number: int) -> bool:
        """Whether a segment begins below the end of the one before it."""
        return self.segments[number].origin < self._last_of(number - 1)

    def _holds(self, segment: Segment, position: Position, *, exactly: bool) -> bool:
        """Whether an id within the bounds of a segment was given in it, as far as this can be known.

        Before the first message only two ids are, because others may be those of a stream that was
        deleted. `exactly`: only ids of messages count.
        """
        count = self._count_at(segment, position)
        if count > segment.count:
            return not exactly or self._position_after(segment, count) == position
        first = (
            segment.origin if self._end_of(segment) == count else self._id(count + 1).predecessor
        )
        return not exactly and position in {segment.origin, first}

    def has(self, position: Position) -> bool:
        """Whether it is the id of a message that this process has received, or where a segment begins."""
        segment = self._segment_of(position)
        if segment is None:
            return False
        return self._position_after(segment, self._count_at(segment, position)) == position

    def _start_of(self, segment: Segment) -> Position:
        return segment.origin

    def _count_at(self, segment: Segment, position: Position) -> int:
        first = max(segment.count, self._forgotten)
        numbers = range(first + 1, self._end_of(segment) + 1)
        return first + bisect_right(numbers, position, key=self._id)

    def _position_after(self, segment: Segment, count: int) -> Position | None:
        if count == segment.count:
            return segment.origin
        return self._id(count) if count > self._forgotten else None

    def _last_of(self, number: int) -> Position:
        end = self._end(number)
        segment = self.segments[number]
        if end == segment.count:
            return segment.origin
        return self._id(end) if end > self._forgotten else self._floor

    def _end_of(self, segment: Segment) -> int:
        return self._end(self.segments.index(segment))

    def _end(self, number: int) -> int:
        """Returns the number of messages up to the last one of a segment."""
        following = self.segments[number + 1 : number + 2]
        return following[0].count if following else self.count

    def _id(self, count: int) -> Position:
        """Returns the id of the `count`-th message, which must be kept."""
        place = count - self._forgotten - 1
        return Position(self._parts[0][place], self._parts[1][place])
