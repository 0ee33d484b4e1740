"""Several channels as one: their events in the order of arrival, each with the position in all."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from relay.feed.feed import Feed, Heard
from relay.feed.readers import Readers
from relay.feed.ring import Place, Ring
from relay.wire import sse, stream_id
from relay.wire.notices import Gap, GapReason
from relay.wire.position import Position

Positions = Mapping[str, Position | None]

Withholds = Callable[[str, str], bool]
"""Whether a wildcard's subscribers do not get a message of this channel, which another entry governs."""


class CombinedNote(NamedTuple):
    """What the ring knows of a frame: where each channel is after it, in the order of the feeds."""

    positions: tuple[Position | None, ...]


class CombinedFeed:
    """A source for a fan-out, shared by every client that asked for the same channels.

    Its ids are those of relay/wire/stream_id.py. It follows the feeds from its construction until
    `close`. Messages that are withheld are numbered like all others, and left out here.
    """

    def __init__(self, feeds: Sequence[Feed], ring: Ring, withholds: Withholds) -> None:
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
        """Where each channel is now."""
        return {feed.channel: feed.timeline.position for feed in self.feeds}

    def close(self) -> None:
        """Follows the feeds no longer."""
        for feed in self.feeds:
            feed.unfollow(self)

    def greeting(self) -> bytes:
        """The position in every channel as a bare id; nothing where there is none."""
        identity = stream_id.encode(b"", self.positions)
        return sse.with_id(identity, b"\n") if identity else b""

    def heartbeat(self, time_ms: int) -> None:
        """A comment on every stream; it carries the positions."""
        frame = sse.COMMENT + (self.greeting() or b"\n")
        self._append(frame, self.positions, time_ms)

    def hear(self, feed: Feed, heard: Heard) -> None:
        """Takes what a feed has received."""
        if not self.withheld(feed, heard.source):
            self._take(feed, heard)

    def withheld(self, feed: Feed, source: bytes) -> bool:
        """Whether the subscribers of the wildcard `feed` do not get what is from `source`."""
        return bool(source) and self._withholds(feed.channel, unquote(source.decode()))

    def numbered(
        self,
        feed: Feed,
        position: Position,
        event: bytes,
        positions: Positions,
        source: bytes = b"",
    ) -> bytes:
        """An event with its id: the channel it is from, its position, then those of the others."""
        ordered = {feed.channel: position, **positions, feed.channel: position}
        identity = stream_id.encode(source or self._names[feed], ordered)
        return sse.with_id(identity, event)

    def fallen(self, place: Place, before: Any) -> bytes:
        """A gap for each channel that has entries between `before` and where the ring begins."""
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

    def _take(self, feed: Feed, heard: Heard) -> None:
        self._count += 1
        positions = {**self.positions, feed.channel: heard.position}
        frame = self.numbered(feed, heard.position, heard.event, positions, heard.source)
        self._append(frame, positions, heard.time_ms)

    def _append(self, frame: bytes, positions: Positions, time_ms: int) -> None:
        note = CombinedNote(tuple(positions.values()))
        self.ring.append(frame, self._count, time_ms, note)
