"""What the clients of one channel share: its messages, numbered, encoded once, kept in one ring."""

import asyncio
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple, Protocol

from relay.feed.encoder import Encoder
from relay.feed.entries import Entry, missed_between
from relay.feed.readers import Readers
from relay.feed.ring import Kind, Place, Ring
from relay.feed.timeline import Timeline
from relay.stats import Stats
from relay.wire import sse
from relay.wire.notices import Gap, GapReason
from relay.wire.position import Position


class Note(NamedTuple):
    """What the ring knows of a frame of a feed."""

    kind: Kind
    event_at: int
    """Where in the frame the event begins, after its id."""
    source: bytes = b""
    """The channel of a message that came by a pattern, percent-encoded."""
    position: Position | None = None
    """Of a gap: where it ends."""


class Heard(NamedTuple):
    """A message or gap of a feed, without its id."""

    position: Position
    event: bytes
    kind: Kind
    source: bytes
    time_ms: int


class Follower(Protocol):
    def hear(self, feed: "Feed", heard: Heard) -> None:
        """Takes every message and gap, in order, when it is in the feed's ring."""


@cache
def _note(kind: Kind, event_at: int) -> Note:
    """One object for all that are alike: a ring holds tens of thousands."""
    return Note(kind, event_at)


class Feed:
    """Numbers what comes in and appends it to the ring.

    Nothing here awaits: between a message's receipt and its place in the ring no other code runs,
    which is what makes the count exact and joining free of gaps.
    """

    def __init__(self, channel: str, ring: Ring, encoder: Encoder, stats: Stats) -> None:
        self.channel = channel
        self.ring = ring
        self.timeline = Timeline(ring)
        self.readers = Readers()
        self.marked = asyncio.Event()
        """Set with the first marker."""
        self._followers: tuple[Follower, ...] = ()
        self._encoder = encoder
        self._stats = stats

    # -- what comes in

    def receive(self, payload: bytes, time_ms: int, source: bytes = b"") -> None:
        """Appends one message. `source` is the channel of a message that came by a pattern."""
        timeline = self.timeline
        self._stats.messages += 1
        epoch, offset = timeline.epoch, timeline.advance()
        event = self._encoder.encode(payload, epoch, offset)
        if source:
            source = sse.quoted(source)
        frame = sse.numbered(epoch, offset, event)
        event_at = len(frame) - len(event)
        note = Note(Kind.MESSAGE, event_at, source) if source else _note(Kind.MESSAGE, event_at)
        self.ring.append(frame, timeline.count, time_ms, note)
        if self._followers:
            self._pass_on(Heard(Position(epoch, offset), event, Kind.MESSAGE, source, time_ms))

    def mark(self, epoch: int, time_ms: int) -> None:
        """A marker came in line with the messages: a new epoch, and nothing is missing before it."""
        timeline = self.timeline
        if epoch != timeline.epoch:
            whole = bool(timeline.segments)
            timeline.begin(epoch, timeline.position, time_ms, whole=whole)
            self.marked.set()

    def skip_to(self, epoch: int, missed: int | None, reason: GapReason, time_ms: int) -> None:
        """Begins an epoch after a hole, and announces the gap on every stream."""
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
            heard = Heard(entry.position, entry.event, Kind.MESSAGE, entry.source, entry.time_ms)
            self._append(heard)

    def heartbeat(self, time_ms: int) -> None:
        """A comment on every stream, in order with everything else; it carries the position."""
        at = self.timeline.position
        identity = sse.bare_id(*at) if at else b"\n"
        note = _note(Kind.HEARTBEAT, 0)
        self.ring.append(sse.COMMENT + identity, self.timeline.count, time_ms, note)

    # -- what the ring has

    def heard_between(self, first: int, last: int) -> Iterator[Heard]:
        """The messages and gaps from one index of the ring up to another; all must be kept."""
        for cursor, frame, seen, time_ms, note in self.ring.items(first, last):
            if note.kind is not Kind.HEARTBEAT:
                position = note.position or self.timeline.position_at(Place(cursor, seen))
                assert position is not None
                yield Heard(position, frame[note.event_at :], note.kind, note.source, time_ms)

    def newest_messages(self) -> Iterator[Heard]:
        """The messages, the newest first, as far back as the ring has them."""
        ring = self.ring
        for count in range(self.timeline.count - 1, ring.dropped - 1, -1):
            index = ring.index_after(count)
            if index is not None:
                heard = self.heard_between(index, ring.end)
                yield next(each for each in heard if each.kind is Kind.MESSAGE)

    # -- those who follow

    def follow(self, follower: Follower) -> None:
        """Passes everything on to `follower` from now on."""
        self._followers = (*self._followers, follower)

    def unfollow(self, follower: Follower) -> None:
        self._followers = tuple(each for each in self._followers if each is not follower)

    # -- what a fan-out asks

    def fallen(self, place: Place, before: object) -> bytes:
        """The gap of a client that had read up to `place` and goes on where the ring begins."""
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
        gap = Gap(self.channel, self.timeline.position, end, missed, reason)
        self._append(Heard(end, sse.hub_event(gap), Kind.GAP, b"", time_ms))

    def _append(self, heard: Heard) -> None:
        frame = sse.numbered(*heard.position, heard.event)
        end = heard.position if heard.kind is Kind.GAP else None
        note = Note(heard.kind, len(frame) - len(heard.event), heard.source, end)
        self.ring.append(frame, self.timeline.count, heard.time_ms, note)
        self._pass_on(heard)

    def _pass_on(self, heard: Heard) -> None:
        for follower in self._followers:
            follower.hear(self, heard)
