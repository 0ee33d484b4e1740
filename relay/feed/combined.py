"""Several channels as one: their events in the order of arrival, each with the position in all."""

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote, unquote

from relay.feed.feed import Feed
from relay.feed.ring import Place, Ring
from relay.wire import sse, stream_id
from relay.wire.notices import Gap, GapReason
from relay.wire.position import Position

Positions = Mapping[str, Position | None]

Withholds = Callable[[str, str], bool]
"""Whether, of a wildcard, a message on this channel is not for its subscribers."""


class CombinedFeed:
    """A source for a fan-out, shared by every client that asked for the same channels.

    Its ids are those of relay/stream_id.py. It follows the feeds from when it is made until `close`.
    Messages of a wildcard that are withheld are numbered like all others, and left out here.
    """

    def __init__(self, feeds: Sequence[Feed], ring: Ring, withholds: Withholds) -> None:
        self.feeds = list(feeds)
        self.ring = ring
        self._withholds = withholds
        self._keys = {feed: quote(feed.channel, safe=sse.SAFE).encode() for feed in feeds}
        self._count = 0
        for feed in feeds:
            feed.followers.append(self._hear)

    @property
    def positions(self) -> Positions:
        """Where each channel is now."""
        return {feed.channel: feed.position for feed in self.feeds}

    def close(self) -> None:
        for feed in self.feeds:
            feed.followers.remove(self._hear)

    def greeting(self) -> bytes:
        """The position in every channel as a bare id; nothing where there is none."""
        identity = stream_id.encode(b"", self.positions)
        return sse.with_id(identity, b"\n") if identity else b""

    def heartbeat(self, time_ms: int) -> None:
        """A comment on every stream; it carries the positions."""
        frame = sse.COMMENT + (self.greeting() or b"\n")
        self.ring.append(frame, self._count, time_ms)

    def number(self, feed: Feed, position: Position, positions: Positions, event: bytes) -> bytes:
        """An event of `feed` with its id: who spoke, its position, then those of the others.

        Nothing for an event that is withheld.
        """
        return (
            b""
            if self._is_withheld(feed, event)
            else self._number(feed, position, positions, event)
        )

    def _number(self, feed: Feed, position: Position, positions: Positions, event: bytes) -> bytes:
        source, event = sse.source_of(event)
        ordered = {feed.channel: position, **positions, feed.channel: position}
        return sse.with_id(stream_id.encode(source or self._keys[feed], ordered), event)

    def bookmark(self, cursor: int) -> object:
        """The positions before `cursor`, as the id of the last entry has them."""
        if cursor <= self.ring.start:
            return self.positions if cursor == self.ring.end else None
        return _positions(self.ring.entries(cursor - 1, cursor)[0])

    def fallen(self, place: Place, bookmark: object) -> bytes:
        """A gap for each channel that spoke between the bookmark and where the ring begins."""
        starts = bookmark if isinstance(bookmark, dict) else {}
        ends = _before(self.ring.entries(self.ring.start, self.ring.start + 1)[0])
        notices = []
        for feed in self.feeds:
            start, end = starts.get(feed.channel), ends.get(feed.channel)
            missed = feed.distance(start, end) if start and end else None
            if missed != 0 and end is not None:
                gap = Gap(feed.channel, start, end, missed, GapReason.SLOW_CLIENT)
                notices.append(self._number(feed, end, ends, sse.hub_event(gap)))
        return b"".join(notices)

    def _is_withheld(self, feed: Feed, event: bytes) -> bool:
        source, _ = sse.source_of(event)
        return bool(source) and self._withholds(feed.channel, unquote(source.decode()))

    def _hear(self, feed: Feed, position: Position, event: bytes, time_ms: int) -> None:
        if not self._is_withheld(feed, event):
            self._take(feed, position, event, time_ms)

    def _take(self, feed: Feed, position: Position, event: bytes, time_ms: int) -> None:
        self._count += 1
        frame = self._number(feed, position, self.positions, event)
        self.ring.append(frame, self._count, time_ms)


def _before(frame: bytes) -> dict[str, Position | None]:
    """Where each channel was before this frame; the channel of a message stands first in its id."""
    positions = dict(_positions(frame))
    speaker, at = next(iter(positions.items()))
    if at and at.offset and frame.startswith(b"id: @=") and b"\nevent: hub.gap\n" not in frame:
        positions[speaker] = Position(at.epoch, at.offset - 1)
    return positions


def _positions(frame: bytes) -> Positions:
    return stream_id.decode(sse.id_of(frame).decode()) or {}
