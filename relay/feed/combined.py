"""Several channels as one source: events in order of receipt, each with the position in every channel."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from relay.feed.channel_feed import ChannelFeed, FeedEvent
from relay.feed.readers import Readers
from relay.feed.ring import Place, Ring
from relay.wire import sse, stream_id
from relay.wire.notices import Gap, GapReason
from relay.wire.position import Position

Positions = Mapping[str, Position | None]

Withholds = Callable[[str, str], bool]
"""Whether a wildcard (first argument) withholds messages of a channel that another entry governs."""


class CombinedNote(NamedTuple):
    """The position in each channel after a frame, in the order of the feeds."""

    positions: tuple[Position | None, ...]


class CombinedFeed:
    """A source for a fan-out, shared by all clients that requested the same channels.

    Its ids are those of relay/wire/stream_id.py. It follows the feeds from construction until
    `close`. It leaves out withheld messages, whose numbers stay used.
    """

    def __init__(self, feeds: Sequence[ChannelFeed], ring: Ring, withholds: Withholds) -> None:
        self.feeds = tuple(feeds)
        self.ring = ring
        self.readers = Readers()
        self._withholds = withholds
        self._names = {feed: sse.quoted(feed.channel.encode()) for feed in feeds}
        self._count = 0
        for feed in feeds:
            feed.follow(self)

    @property
    def positions(self) -> Positions:
        """The newest position of each channel; None before its first marker."""
        return {feed.channel: feed.timeline.position for feed in self.feeds}

    def close(self) -> None:
        """Stops following the feeds."""
        for feed in self.feeds:
            feed.unfollow(self)

    def greeting(self) -> bytes:
        """Returns the positions of all channels as a bare id; empty while there is none."""
        identity = stream_id.encode(b"", self.positions)
        return sse.with_id(identity, b"\n") if identity else b""

    def heartbeat(self, time_ms: int, comment: bytes = sse.COMMENT) -> None:
        """Appends a comment that carries the positions, for every stream."""
        frame = comment + (self.greeting() or b"\n")
        self._append(frame, self.positions, time_ms)

    def receive(self, feed: ChannelFeed, received: FeedEvent) -> None:
        """Appends an event of a feed, unless it is withheld."""
        if not self.withheld(feed, received.source):
            self._take(feed, received)

    def withheld(self, feed: ChannelFeed, source: bytes) -> bool:
        """Whether the wildcard `feed` withholds messages of the channel `source`."""
        return bool(source) and self._withholds(feed.channel, unquote(source.decode()))

    def numbered(
        self,
        feed: ChannelFeed,
        position: Position,
        event: bytes,
        positions: Positions,
        source: bytes = b"",
    ) -> bytes:
        """Returns an event with its id: its channel, its position, then those of the others."""
        ordered = {feed.channel: position, **positions, feed.channel: position}
        identity = stream_id.encode(source or self._names[feed], ordered)
        return sse.with_id(identity, event)

    def eviction_notice(self, place: Place, before: Any) -> bytes:
        """Returns a notice for each channel with messages between `before` and the start of the ring."""
        starts = before.positions if before else (None,) * len(self.feeds)
        kept = self.ring.note_before(self.ring.start)
        if kept is None:
            return b""  # nothing was ever dropped
        after = {feed.channel: end for feed, end in zip(self.feeds, kept.positions, strict=True)}
        notices = []
        for feed, start, end in zip(self.feeds, starts, kept.positions, strict=True):
            missed = feed.timeline.distance(start, end) if start and end else None
            if missed != 0 and end is not None:
                gap = Gap(feed.channel, start, end, missed, GapReason.SLOW_CLIENT)
                notices.append(self.numbered(feed, end, sse.hub_event(gap), after))
        return b"".join(notices)

    def _take(self, feed: ChannelFeed, received: FeedEvent) -> None:
        self._count += 1
        positions = {**self.positions, feed.channel: received.position}
        frame = self.numbered(feed, received.position, received.event, positions, received.source)
        self._append(frame, positions, received.time_ms)

    def _append(self, frame: bytes, positions: Positions, time_ms: int) -> None:
        note = CombinedNote(tuple(positions.values()))
        self.ring.append(frame, self._count, time_ms, note)
