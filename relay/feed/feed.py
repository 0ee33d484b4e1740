"""What clients of one channel share: its messages, numbered, encoded once, kept in one ring."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from relay.feed.entries import Entry, Run, missed_between
from relay.feed.ring import Place, Ring
from relay.stats import Stats
from relay.wire import sse
from relay.wire.envelope import unwrap
from relay.wire.notices import Gap, GapReason, Oversize
from relay.wire.position import Position

RUN_BYTES = 1024 * 1024
"""Where a run ends, so that none keeps Redis busy for long."""

MAX_SEGMENTS = 1024
"""Segments remembered beyond those in the ring: they tell how many messages an old id is behind."""


Follow = Callable[["Feed", Position, bytes, int], None]
"""Takes the feed, the position, the event without its id, and the time in Unix ms."""


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


class Feed:
    """Turns the payloads of a Redis channel into frames, and positions into places in the ring.

    Nothing here awaits: between a message's receipt and its place in the ring no other code runs,
    which is what makes the count exact and joining free of gaps.
    """

    def __init__(
        self,
        channel: str,
        ring: Ring,
        max_event_bytes: int,
        stats: Stats,
        *,
        envelope: bool = False,
    ) -> None:
        self._envelope = envelope
        self.channel = channel
        self.ring = ring
        self.count = 0
        """Messages in all, since this process started."""
        self.followers: list[Follow] = []
        """Called with every message and gap, in order, when it is in the ring."""
        self._segments: list[Segment] = []
        self.epoch = 0
        """That of the newest position; 0 before the first marker."""
        self._base = 0
        self._max_event_bytes = max_event_bytes
        self._stats = stats

    @property
    def position(self) -> Position | None:
        """The newest position; None before the first marker."""
        return Position(self.epoch, self.count - self._base) if self._segments else None

    @property
    def first_position(self) -> Position | None:
        """Where this process began to count, as far as it remembers; None before the first marker."""
        return Position(self._segments[0].epoch, 0) if self._segments else None

    @property
    def newest_epoch(self) -> int:
        """The greatest epoch this process has heard of, 0 for none."""
        return max((segment.epoch for segment in self._segments), default=0)

    # -- what comes in

    def receive(self, payload: bytes, time_ms: int, source: bytes = b"") -> None:
        """Appends one message. Invalid UTF-8 is replaced, an event over the size limit announced.

        `source` is the channel of a message that came by a pattern.
        """
        self.count += 1
        self._stats.messages += 1
        event = self._encode(payload)
        if source:
            event = sse.from_source(source, event)
        offset = self.count - self._base
        self.ring.append(sse.numbered(self.epoch, offset, event), self.count, time_ms)
        if self.followers:
            self._tell(Position(self.epoch, offset), event, time_ms)

    def mark(self, epoch: int, time_ms: int) -> None:
        """A marker came in line with the messages: a new epoch, and nothing is missing before it."""
        if epoch != self.epoch:
            self._begin(epoch, self.position, time_ms, whole=bool(self._segments))

    def skip_to(self, epoch: int, missed: int | None, reason: GapReason, time_ms: int) -> None:
        """Begins an epoch after a hole, and tells every stream."""
        self._gap(Position(epoch, 0), missed, reason, time_ms)
        self._begin(epoch, None, time_ms, whole=False)

    def fill(self, entry: Entry, reason: GapReason) -> None:
        """Appends a message or boundary that the history has and this process did not hear."""
        at = self.position
        assert at is not None
        missed = missed_between(at, entry)
        epoch, offset = entry.position
        before = Position(epoch, max(offset - 1, 0))
        if missed != 0:
            self._gap(before, missed, reason, entry.time_ms)
        if missed != 0 or epoch != at.epoch:
            whole = missed == 0
            self._begin(epoch, entry.previous, entry.time_ms, whole=whole, offset=before.offset)
        if entry.event is not None:
            self.count += 1
            self._append(entry.position, entry.event, entry.time_ms)

    def newest_events(self) -> Iterator[bytes]:
        """The messages without their ids, the newest first, as far back as the ring has them."""
        ring = self.ring
        for count in range(self.count - 1, ring.dropped - 1, -1):
            place = ring.index_after(count)
            if place is not None:
                frame, _, _ = next(ring.messages(place, ring.end))
                yield sse.unnumbered(frame)

    def heartbeat(self, time_ms: int) -> None:
        """A comment on every stream, in order with everything else; it carries the position."""
        at = self.position
        identity = sse.bare_id(*at) if at else b"\n"
        self.ring.append(sse.COMMENT + identity, self.count, time_ms)

    # -- places and positions

    def find(self, position: Position) -> Place | None:
        """The place in the ring where a client at `position` reads on; None if it is not there."""
        segment = self._segment_of(position)
        if segment is None:
            return None
        ring, count = self.ring, segment.base + position.offset
        index = segment.index if count == segment.count else ring.index_after(count)
        if count == ring.dropped and index is not None and index <= ring.start:
            # Nothing but notices has been dropped since; one of a gap is no small loss.
            return (
                Place(ring.start, count) if self.unbroken(segment.index + 1, ring.start) else None
            )
        return Place(index, count) if index is not None and index >= ring.start else None

    def place_beyond(self, position: Position) -> Place:
        """The first place in the ring where everything is later than `position`, which is not in it."""
        ring = self.ring
        if self.knows(position):
            return ring.place(ring.start)
        for segment in self._segments:
            if (segment.epoch, segment.count - segment.base) >= position:
                return ring.place(max(segment.index, ring.start))
        return ring.place(ring.end)

    def position_at(self, place: Place) -> Position | None:
        """The position of a client that has read everything before `place`."""
        for segment in reversed(self._segments):
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
        return all(s.whole for s in self._segments if first <= s.index <= last)

    def run_after(self, at: Position | None, max_entries: int) -> Run | None:
        """What follows `at` in one epoch, as far as the ring still has it; None if nothing does.

        Where the ring has lost what follows, the run begins with what it has.
        """
        number = self._number_of(at) if at else None
        if number is not None and at is not None:
            run = self._messages(number, self._segments[number].base + at.offset, max_entries)
            if run is not None:
                return run
        first = max(-1 if number is None else number, self._oldest_kept() - 1) + 1
        runs = (self._epoch_from(n, max_entries) for n in range(first, len(self._segments)))
        return next((run for run in runs if run is not None), None)

    def knows(self, position: Position) -> bool:
        """Whether this process has counted the message at `position`, or the marker."""
        return self._number_of(position) is not None

    def _epoch_from(self, number: int, max_entries: int) -> Run | None:
        segment = self._segments[number]
        messages = self._messages(number, segment.count, max_entries)
        if segment.base != segment.count or segment.count < self.ring.dropped:
            return messages  # its boundary is not ours to append, or what follows it is lost
        entries = [(segment.time_ms, b""), *(messages.entries if messages else ())]
        return Run(Position(segment.epoch, 0), segment.previous, entries)

    def _oldest_kept(self) -> int:
        """The number of the segment in which the ring begins."""
        counts = [segment.count for segment in self._segments]
        return max(bisect_right(counts, self.ring.dropped) - 1, 0)

    def _messages(self, number: int, count: int, max_entries: int) -> Run | None:
        segment = self._segments[number]
        following = self._segments[number + 1 : number + 2]
        end = following[0].index if following else self.ring.end
        count = max(count, self.ring.dropped)
        first = max(segment.index, self.ring.index_after(count) or 0, self.ring.start)
        entries: list[tuple[int, bytes]] = []
        size = 0
        for frame, _, time_ms in islice(self.ring.messages(first, end), max_entries):
            entries.append((time_ms, sse.unnumbered(frame)))
            size += len(frame)
            if size >= RUN_BYTES:
                break
        if not entries:
            return None
        return Run(Position(segment.epoch, count - segment.base + 1), None, entries)

    def _segment_of(self, position: Position) -> Segment | None:
        number = self._number_of(position)
        return None if number is None else self._segments[number]

    def _number_of(self, position: Position) -> int | None:
        end = self.count
        for number in range(len(self._segments) - 1, -1, -1):
            segment = self._segments[number]
            count = segment.base + position.offset
            if segment.epoch == position.epoch and segment.count <= count <= end:
                return number
            end = segment.count
        return None

    def _begin(
        self, epoch: int, previous: Position | None, time_ms: int, *, whole: bool, offset: int = 0
    ) -> None:
        self.epoch, self._base = epoch, self.count - offset
        self._segments.append(
            Segment(epoch, self._base, self.count, self.ring.end, previous, whole, time_ms)
        )
        while len(self._segments) > MAX_SEGMENTS and self._segments[1].index <= self.ring.start:
            del self._segments[0]

    # -- what a fan-out asks

    def bookmark(self, cursor: int) -> object:
        """Nothing: a place is enough."""
        return None

    def fallen(self, place: Place, bookmark: object) -> bytes:
        """The gap of a client that had read up to `place` and goes on where the ring begins."""
        ring = self.ring
        missed: int | None = ring.dropped - place.seen
        if not self.unbroken(place.cursor + 1, ring.start):
            missed = None  # the notice of a gap was dropped as well
        if missed == 0:  # nothing but heartbeats was dropped
            return b""
        start, end = self.position_at(place), self.position_at(ring.place(ring.start))
        event = sse.hub_event(Gap(self.channel, start, end, missed, GapReason.SLOW_CLIENT))
        return sse.numbered(*end, event) if end else event

    # -- encoding

    def _gap(self, end: Position, missed: int | None, reason: GapReason, time_ms: int) -> None:
        self._stats.gaps_redis_lost += 1
        event = sse.hub_event(Gap(self.channel, self.position, end, missed, reason))
        self._append(end, event, time_ms)

    def _append(self, position: Position, event: bytes, time_ms: int) -> None:
        self.ring.append(sse.numbered(*position, event), self.count, time_ms)
        self._tell(position, event, time_ms)

    def _tell(self, position: Position, event: bytes, time_ms: int) -> None:
        for follow in self.followers:
            follow(self, position, event, time_ms)

    def _encode(self, payload: bytes) -> bytes:
        data = payload if payload.isascii() else self._utf8(payload)
        if self._envelope and (wish := unwrap(data)) is not None:
            return sse.named(wish.event, wish.retry_ms, self._plain(wish.data))
        return self._plain(data)

    def _plain(self, data: bytes) -> bytes:
        # Most messages are far from the limit; what a line end can add at most (a byte becomes seven)
        # decides whether the exact size has to be worked out.
        if len(data) * 7 + 8 > self._max_event_bytes:
            size = sse.message_size(data)
            if size > self._max_event_bytes:
                return self._oversize(size)
        return sse.message(data)

    def _oversize(self, size: int) -> bytes:
        self._stats.oversize += 1
        position = Position(self.epoch, self.count - self._base)
        return sse.hub_event(Oversize(self.channel, position, size, self._max_event_bytes))

    def _utf8(self, payload: bytes) -> bytes:
        try:
            payload.decode()
        except UnicodeDecodeError:
            self._stats.invalid_utf8 += 1
            return payload.decode(errors="replace").encode()
        return payload
