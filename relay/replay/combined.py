"""Joins each new stream of several channels: each is caught up by its own past, then all are live."""

from collections.abc import AsyncIterator, Mapping

from relay.feed.combined import CombinedFeed, Positions
from relay.feed.conflated import ConflatedFeed
from relay.feed.fanout import Fanout
from relay.feed.feed import Feed
from relay.feed.start import Live, Start
from relay.feed.subscriber import Subscriber
from relay.feed.writer import Writer
from relay.replay.catching_up import Backlog, CatchingUp, Handover
from relay.replay.replay import Piece, Replay, Rest
from relay.wire.position import Position

CHUNK_BYTES = 64 * 1024


class CombinedArrivals:
    """The new streams of one combined feed; `replays` has that of each of its feeds."""

    def __init__(
        self, combined: CombinedFeed, replays: Mapping[Feed, Replay], fanout: Fanout
    ) -> None:
        self._combined = combined
        self._replays = replays
        self._fanout = fanout
        self.catching_up = CatchingUp(fanout)

    def join(self, writer: Writer, starts: Mapping[str, Start]) -> Subscriber:
        """From now on `writer` gets what `starts` asks of each channel, then what is published."""
        combined, place = self._combined, self._combined.ring.end_place
        if isinstance(combined, ConflatedFeed):
            return self._fanout.join(writer, place, combined.newest(starts))
        positions = combined.positions
        if all(positions.values()) and all(isinstance(s, Live) for s in starts.values()):
            return self._fanout.join(writer, place, combined.greeting())
        return self.catching_up.begin(writer, self._backlog(starts, positions))

    async def _backlog(self, starts: Mapping[str, Start], arrival_positions: Positions) -> Backlog:
        progress = _Progress(self._combined, self._replays)
        async for body in progress.begin(starts, arrival_positions):
            yield body
        while (lagging := progress.lagging()) is not None:
            async for body in progress.advance(lagging):
                yield body
        yield Handover(self._combined.ring.end_place, self._combined.greeting())


class _Progress:
    """Where one client is in each feed."""

    def __init__(self, combined: CombinedFeed, replays: Mapping[Feed, Replay]) -> None:
        self._combined = combined
        self._replays = replays
        self._at: dict[Feed, Position] = {}

    async def begin(
        self, starts: Mapping[str, Start], arrival_positions: Positions
    ) -> AsyncIterator[bytes]:
        """Finds every start before anything is sent: an id must never lack a channel."""
        gaps: dict[Feed, Piece | None] = {}
        for feed, replay in self._replays.items():
            name = feed.channel
            self._at[feed], gaps[feed] = await replay.begin(starts[name], arrival_positions[name])
        for feed, gap in gaps.items():
            if gap:
                yield self._frame(feed, gap)

    def lagging(self) -> Feed | None:
        """A feed that has something the client lacks."""
        for feed, at in self._at.items():
            place = feed.timeline.find(at)
            if place is None or place.cursor < feed.ring.end:
                return feed
        return None

    async def advance(self, feed: Feed) -> AsyncIterator[bytes]:
        """Sends what comes next in `feed`, from its past and a part of its ring."""
        async for step in self._replays[feed].after(self._at[feed]):
            pieces = [] if isinstance(step, Rest) else step
            body = b"".join(self._frame(feed, piece) for piece in pieces)
            if isinstance(step, Rest):
                body = self._from_ring(feed, step)
            if body:
                yield body

    def _from_ring(self, feed: Feed, rest: Rest) -> bytes:
        parts = [self._frame(feed, rest.gap)] if rest.gap else []
        end = feed.ring.reach(rest.place.cursor, CHUNK_BYTES)
        for received in feed.events_between(rest.place.cursor, end):
            parts.append(
                self._frame(feed, Piece(received.position, received.event, received.source))
            )
        self._at[feed] = feed.timeline.position_at(feed.ring.place(end)) or self._at[feed]
        return b"".join(parts)

    def _frame(self, feed: Feed, piece: Piece) -> bytes:
        """A piece with the ids of all channels; nothing for a message that is withheld."""
        if piece.position is None:
            return piece.event
        self._at[feed] = piece.position
        if self._combined.withheld(feed, piece.source):
            return b""
        positions = {f.channel: p for f, p in self._at.items()}
        return self._combined.numbered(feed, piece.position, piece.event, positions, piece.source)
