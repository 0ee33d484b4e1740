"""Brings a stream of several channels to where all of them are live, each through its own history."""

from collections.abc import Mapping

from relay.feed.combined import CombinedFeed, Positions
from relay.feed.conflated import ConflatedFeed
from relay.feed.fanout import Fanout, Subscriber
from relay.feed.feed import Feed
from relay.feed.ring import Place
from relay.feed.start import Live, Start
from relay.feed.writer import Writer
from relay.replay.arrivals import Arrivals
from relay.replay.catching_up import CatchingUp, Send
from relay.replay.replay import Number
from relay.wire import sse
from relay.wire.position import Position

CHUNK_BYTES = 64 * 1024


class CombinedArrivals:
    """The streams of one composite; `arrivals` has those of each of its feeds."""

    def __init__(
        self, composite: CombinedFeed, fanout: Fanout, arrivals: Mapping[Feed, Arrivals]
    ) -> None:
        self._composite = composite
        self._fanout = fanout
        self._arrivals = arrivals
        self.bringing = CatchingUp(fanout)

    def join(self, writer: Writer, starts: Mapping[str, Start]) -> Subscriber:
        """From now on `writer` gets what `starts` asks of each channel, then what is published."""
        composite = self._composite
        known = all(composite.positions.values())
        if isinstance(composite, ConflatedFeed):
            return self._fanout.join(writer, self._end(), composite.newest(starts))
        if known and all(isinstance(start, Live) for start in starts.values()):
            return self._fanout.join(writer, self._end(), composite.greeting())
        positions = composite.positions
        return self.bringing.bring(writer, lambda send: self._way(starts, positions, send))

    async def _way(
        self, starts: Mapping[str, Start], came_at: Positions, send: Send
    ) -> tuple[Place, bytes]:
        journey = _Journey(self._composite, self._arrivals, send)
        await journey.begin(starts, came_at)
        while (late := journey.late()) is not None:
            await journey.advance(late)
        return self._end(), self._composite.greeting()

    def _end(self) -> Place:
        return self._composite.ring.place(self._composite.ring.end)


class _Journey:
    """Where one client is in each feed."""

    def __init__(
        self, composite: CombinedFeed, arrivals: Mapping[Feed, Arrivals], send: Send
    ) -> None:
        self._composite = composite
        self._arrivals = arrivals
        self._send = send
        self._at: dict[Feed, Position] = {}

    async def begin(self, starts: Mapping[str, Start], came_at: Positions) -> None:
        """Finds every start before anything is sent: an id must never lack a channel."""
        gaps = {}
        for feed in self._composite.feeds:
            self._at[feed], gaps[feed] = await self._arrivals[feed].begin(
                starts[feed.channel], came_at[feed.channel]
            )
        for feed, reason in gaps.items():
            if reason:
                gap = self._arrivals[feed].replay.gap
                await self._send(gap(None, self._at[feed], None, reason, self._numbering(feed)))

    def late(self) -> Feed | None:
        """A feed that has something the client lacks."""
        for feed, at in self._at.items():
            place = feed.find(at)
            if place is None or place.cursor < feed.ring.end:
                return feed
        return None

    async def advance(self, feed: Feed) -> None:
        """Sends what comes next in `feed`, from the history or a part of its ring."""
        number = self._numbering(feed)
        replay = self._arrivals[feed].replay
        place, notice = await replay.bring(self._at[feed], self._send, number)
        ring = feed.ring
        end = ring.reach(place.cursor, CHUNK_BYTES)
        parts = [notice]
        for frame in ring.entries(place.cursor, end):
            at = Position.parse(sse.id_of(frame).decode())
            if at is not None and not frame.startswith(sse.COMMENT):  # not a heartbeat
                parts.append(number(at, sse.unnumbered(frame)))
        self._at[feed] = feed.position_at(ring.place(end)) or self._at[feed]
        if body := b"".join(parts):
            await self._send(body)

    def _numbering(self, feed: Feed) -> Number:
        def number(position: Position, event: bytes) -> bytes:
            self._at[feed] = position
            positions = {f.channel: p for f, p in self._at.items()}
            return self._composite.number(feed, position, positions, event)

        return number
