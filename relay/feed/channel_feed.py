"""What the feeds of all kinds of channels have in common: a ring, its readers and its followers."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from relay.feed.places import Places
from relay.feed.readers import Readers
from relay.feed.ring import Kind, Place, Ring
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
    def receive(self, feed: "ChannelFeed", received: FeedEvent) -> None:
        """Receives every message and gap, in order, after it was appended to the feed's ring."""


MESSAGE = Kind.MESSAGE  # read for each message, and the attribute of an enumeration is slow


MESSAGE_NOTES = tuple(Note(MESSAGE, event_at) for event_at in range(64))
"""Shared by equal entries, because a ring holds tens of thousands. No id has more bytes."""

HEARTBEAT = Note(Kind.HEARTBEAT, 0)


class ChannelFeed:
    """One channel in this process: its messages in order, each encoded once, in one ring.

    Nothing here awaits. No other code runs between the receipt of a message and its entry in the
    ring. That makes the positions exact and joining free of gaps.
    """

    def __init__(self, channel: str, timeline: Places[Any], stats: Stats) -> None:
        self.channel = channel
        self.ring: Ring = timeline.ring
        self.timeline = timeline
        self.readers = Readers()
        self.marked = Flag()
        """Set with the first position."""
        self._followers: tuple[Follower, ...] = ()
        self._stats = stats

    def heartbeat(self, time_ms: int, comment: bytes = sse.COMMENT) -> None:
        """Appends a comment that carries the position, for every stream.

        Before the first position it does nothing: all streams wait then, and the ring has to begin with a
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
