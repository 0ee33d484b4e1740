"""One channel in this process: its messages, numbered, encoded once and kept in one ring."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from relay.feed.encoder import Encoder
from relay.feed.entries import Entry, missed_between
from relay.feed.readers import Readers
from relay.feed.ring import Kind, Place, Ring
from relay.feed.timeline import Timeline
from relay.flag import Flag
from relay.stats import Stats
from relay.wire import sse
from relay.wire.notices import Gap, GapReason
from relay.wire.position import Position


class Note(NamedTuple):
    """What the ring keeps about a frame of a feed."""

    kind: Kind
    event_at: int
    """The offset in the frame at which the event begins, after its id."""
    source: bytes = b""
    """The channel of a message that was received by a pattern, percent-encoded."""
    position: Position | None = None
    """The position where a gap ends; None for other kinds."""


class FeedEvent(NamedTuple):
    """A message or gap of a feed, without its id."""

    position: Position
    event: bytes
    kind: Kind
    source: bytes
    time_ms: int


class Follower(Protocol):
    def receive(self, feed: "Feed", received: FeedEvent) -> None:
        """Receives every message and gap, in order, after it was appended to the feed's ring."""


MESSAGE = Kind.MESSAGE  # read for each message, and the attribute of an enumeration is slow


MESSAGE_NOTES = tuple(Note(MESSAGE, event_at) for event_at in range(64))
"""Shared by equal entries, because a ring holds tens of thousands. No id has more bytes."""

HEARTBEAT = Note(Kind.HEARTBEAT, 0)


class Feed:
    """Numbers received messages and appends them to the ring.

    Nothing here awaits. No other code runs between the receipt of a message and its entry in the
    ring. That makes the numbers exact and joining free of gaps.
    """

    def __init__(self, channel: str, ring: Ring, encoder: Encoder, stats: Stats) -> None:
        self.channel = channel
        self.ring = ring
        self.timeline = Timeline(ring)
        self.readers = Readers()
        self.marked = Flag()
        """Set with the first marker."""
        self._followers: tuple[Follower, ...] = ()
        self._encode = encoder.encode
        self._plain_bytes = encoder.plain_bytes
        self._stats = stats

    # -- input

    def receive(self, payload: bytes, time_ms: int, source: bytes = b"") -> None:
        """Appends one message. `source` is the channel of a message received by a pattern."""
        timeline, stats = self.timeline, self._stats
        stats.messages += 1
        stats.received_bytes += len(payload)
        epoch, offset = timeline.epoch, timeline.advance()
        if len(payload) <= self._plain_bytes and payload.isascii():
            event = sse.message(payload)
        else:
            event = self._encode(payload, epoch, offset)
        if source:
            source = sse.quoted(source)
        frame = sse.numbered(epoch, offset, event)
        event_at = len(frame) - len(event)
        note = Note(MESSAGE, event_at, source) if source else MESSAGE_NOTES[event_at]
        self.ring.append(frame, timeline.count, time_ms, note)
        if self._followers:
            self._pass_on(FeedEvent(Position(epoch, offset), event, Kind.MESSAGE, source, time_ms))

    def mark(self, epoch: int, time_ms: int) -> None:
        """Begins the epoch of a marker that was received in order, with nothing missing before it."""
        timeline = self.timeline
        if epoch != timeline.epoch:
            whole = bool(timeline.segments)
            timeline.begin(epoch, timeline.position, time_ms, whole=whole)
            self.marked.set()

    def skip_to(self, epoch: int, missed: int | None, reason: GapReason, time_ms: int) -> None:
        """Announces a gap on every stream, then begins the epoch after it."""
        self._gap(Position(epoch, 0), missed, reason, time_ms)
        self.timeline.begin(epoch, None, time_ms, whole=False)

    def fill(self, entry: Entry, reason: GapReason) -> None:
        """Appends a message or boundary that the history has and this process did not receive."""
        timeline = self.timeline
        at = timeline.position
        assert at is not None
        missed = missed_between(at, entry)
        epoch, offset = entry.position
        before = Position(epoch, max(offset - 1, 0))
        if missed != 0:
            self._gap(before, missed, reason, entry.time_ms)
        if missed != 0 or epoch != at.epoch:
            whole = missed == 0
            timeline.begin(epoch, entry.previous, entry.time_ms, whole=whole, offset=before.offset)
        if entry.event is not None:
            timeline.advance()
            received = FeedEvent(
                entry.position, entry.event, Kind.MESSAGE, entry.source, entry.time_ms
            )
            self._append(received)

    def heartbeat(self, time_ms: int, comment: bytes = sse.COMMENT) -> None:
        """Appends a comment that carries the position, for every stream.

        Before the first marker it does nothing: all streams wait then, and the ring has to begin with a
        place that has a position.
        """
        at = self.timeline.position
        if at is not None:
            frame = comment + sse.bare_id(*at)
            self.ring.append(frame, self.timeline.count, time_ms, HEARTBEAT)

    # -- the content of the ring

    def events_between(self, first: int, last: int) -> Iterator[FeedEvent]:
        """Yields messages and gaps between two indices of the ring; all entries must be kept."""
        for cursor, frame, seen, time_ms, note in self.ring.items(first, last):
            if note.kind is not Kind.HEARTBEAT:
                position = note.position or self.timeline.position_at(Place(cursor, seen))
                assert position is not None
                yield FeedEvent(position, frame[note.event_at :], note.kind, note.source, time_ms)

    def newest_messages(self) -> Iterator[FeedEvent]:
        """Yields the messages in the ring, newest first."""
        ring = self.ring
        for count in range(self.timeline.count - 1, ring.dropped - 1, -1):
            index = ring.index_after(count)
            if index is not None:
                received = self.events_between(index, ring.end)
                yield next(each for each in received if each.kind is Kind.MESSAGE)

    # -- followers

    def follow(self, follower: Follower) -> None:
        """Passes everything on to `follower` from now on."""
        self._followers = (*self._followers, follower)

    def unfollow(self, follower: Follower) -> None:
        self._followers = tuple(each for each in self._followers if each is not follower)

    # -- notices for a fan-out

    def eviction_notice(self, place: Place, before: object) -> bytes:
        """Returns the notice of a gap between `place` and the start of the ring; empty for none."""
        ring, timeline = self.ring, self.timeline
        missed: int | None = ring.dropped - place.seen
        if not timeline.unbroken(place.cursor + 1, ring.start):
            missed = None  # the notice of a gap was dropped as well
        if missed == 0:  # only heartbeats were dropped
            return b""
        start, end = timeline.position_at(place), timeline.position_at(ring.place(ring.start))
        event = sse.hub_event(Gap(self.channel, start, end, missed, GapReason.SLOW_CLIENT))
        return sse.numbered(*end, event) if end else event

    def _gap(self, end: Position, missed: int | None, reason: GapReason, time_ms: int) -> None:
        self._stats.gaps_redis_lost += 1
        self._stats.gaps[reason] += 1
        gap = Gap(self.channel, self.timeline.position, end, missed, reason)
        self._append(FeedEvent(end, sse.hub_event(gap), Kind.GAP, b"", time_ms))

    def _append(self, received: FeedEvent) -> None:
        frame = sse.numbered(*received.position, received.event)
        end = received.position if received.kind is Kind.GAP else None
        note = Note(received.kind, len(frame) - len(received.event), received.source, end)
        self.ring.append(frame, self.timeline.count, received.time_ms, note)
        self._pass_on(received)

    def _pass_on(self, received: FeedEvent) -> None:
        for follower in self._followers:
            follower.receive(self, received)
