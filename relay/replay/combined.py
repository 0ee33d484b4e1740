"""Joins new streams of several channels: replays each channel, then makes the stream live."""

from collections.abc import AsyncIterator, Mapping

from relay.feed.channel_feed import ChannelFeed
from relay.feed.combined import CombinedFeed, Positions
from relay.feed.conflated import ConflatedFeed
from relay.feed.fanout import Fanout
from relay.feed.ring import Kind
from relay.feed.start import Live, Start
from relay.feed.subscriber import Subscriber
from relay.feed.writer import Writer
from relay.replay.catching_up import Backlog, CatchingUp, Handover
from relay.replay.pieces import Piece, Replaying, Rest
from relay.stats import Stats
from relay.wire.position import Position

CHUNK_BYTES = 64 * 1024


class CombinedArrivals:
    """The new streams of one combined feed; `replays` holds the replay of each of its feeds."""

    def __init__(
        self,
        combined: CombinedFeed,
        replays: Mapping[ChannelFeed, Replaying],
        fanout: Fanout,
        stats: Stats,
    ) -> None:
        self._combined = combined
        self._replays = replays
        self._fanout = fanout
        self._stats = stats
        self.catching_up = CatchingUp(fanout, stats)

    def join(self, writer: Writer, starts: Mapping[str, Start]) -> Subscriber:
        """Sends everything from the start of each channel on, then each new message, to `writer`."""
        combined, place = self._combined, self._combined.ring.end_place
        if isinstance(combined, ConflatedFeed):
            return self._fanout.join(writer, place, combined.newest(starts))
        positions = combined.positions
        if all(positions.values()) and all(isinstance(s, Live) for s in starts.values()):
            return self._fanout.join(writer, place, combined.greeting())
        return self.catching_up.begin(writer, self._backlog(starts, positions))

    async def _backlog(self, starts: Mapping[str, Start], arrival_positions: Positions) -> Backlog:
        progress = _Progress(self._combined, self._replays, self._stats)
        async for body in progress.begin(starts, arrival_positions):
            yield body
        while (lagging := progress.lagging()) is not None:
            async for body in progress.advance(lagging):
                yield body
        yield Handover(self._combined.ring.end_place, self._combined.greeting())


class _Progress:
    """The position of one client in each feed."""

    def __init__(
        self, combined: CombinedFeed, replays: Mapping[ChannelFeed, Replaying], stats: Stats
    ) -> None:
        self._combined = combined
        self._replays = replays
        self._stats = stats
        self._positions: dict[ChannelFeed, Position] = {}

    async def begin(
        self, starts: Mapping[str, Start], arrival_positions: Positions
    ) -> AsyncIterator[bytes]:
        """Finds the start in every feed before anything is sent, because an id must name all channels."""
        gaps: dict[ChannelFeed, Piece | None] = {}
        for feed, replay in self._replays.items():
            name = feed.channel
            self._positions[feed], gaps[feed] = await replay.begin(
                starts[name], arrival_positions[name]
            )
        for feed, gap in gaps.items():
            if gap:
                yield self._frame(feed, gap)

    def lagging(self) -> ChannelFeed | None:
        """Returns a feed with events that the client has yet to get; None if there is none.

        A heartbeat is no event: it does not advance a position, so it would stay ahead for ever.
        """
        for feed, position in self._positions.items():
            place = feed.timeline.find(position)
            if place is None or any(feed.events_between(place.cursor, feed.ring.end)):
                return feed
        return None

    async def advance(self, feed: ChannelFeed) -> AsyncIterator[bytes]:
        """Yields the next entries of `feed`, from its history and a part of its ring."""
        async for step in self._replays[feed].after(self._positions[feed]):
            pieces = [] if isinstance(step, Rest) else step
            body = b"".join(self._frame(feed, piece) for piece in pieces)
            if isinstance(step, Rest):
                body = self._from_ring(feed, step)
            if body:
                yield body

    def _from_ring(self, feed: ChannelFeed, rest: Rest) -> bytes:
        parts = [self._frame(feed, rest.gap)] if rest.gap else []
        end = feed.ring.reach(rest.place.cursor, CHUNK_BYTES)
        for received in feed.events_between(rest.place.cursor, end):
            parts.append(
                self._frame(feed, Piece(received.position, received.event, received.source))
            )
            self._stats.replayed_messages += received.kind is Kind.MESSAGE
        self._positions[feed] = (
            feed.timeline.position_at(feed.ring.place(end)) or self._positions[feed]
        )
        return b"".join(parts)

    def _frame(self, feed: ChannelFeed, piece: Piece) -> bytes:
        """Returns a piece with an id of all channels; nothing for a withheld message."""
        if piece.position is None:
            return piece.event
        self._positions[feed] = piece.position
        if self._combined.withheld(feed, piece.source):
            return b""
        positions = {f.channel: p for f, p in self._positions.items()}
        return self._combined.numbered(feed, piece.position, piece.event, positions, piece.source)
