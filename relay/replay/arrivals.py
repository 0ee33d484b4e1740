"""Joins new streams of one channel: at once if the ring has all messages, else after a replay."""

from relay.feed.channel_feed import ChannelFeed
from relay.feed.fanout import Fanout
from relay.feed.ring import Place
from relay.feed.start import After, Live, Start
from relay.feed.subscriber import Subscriber
from relay.feed.writer import Writer
from relay.replay.catching_up import Backlog, CatchingUp, Handover
from relay.replay.pieces import Piece, Replaying, Rest
from relay.stats import Stats
from relay.wire import sse
from relay.wire.position import Position


class Arrivals:
    """The new streams of one feed."""

    def __init__(self, feed: ChannelFeed, replay: Replaying, fanout: Fanout, stats: Stats) -> None:
        self._feed = feed
        self._replay = replay
        self._fanout = fanout
        self._stats = stats
        self.catching_up = CatchingUp(fanout, stats)

    def join(self, writer: Writer, start: Start) -> Subscriber:
        """Sends everything from `start` on, then each new message, to `writer`."""
        position = self._feed.timeline.position
        place = self._replay.in_ring(start) if position else None
        if position is None or place is None:
            return self.catching_up.begin(writer, self._backlog(start, position))
        self._stats.resumed += isinstance(start, After)
        return self._fanout.join(writer, place, self._greeting(start, place))

    async def _backlog(self, start: Start, arrival_position: Position | None) -> Backlog:
        position, gap = await self._replay.begin(start, arrival_position)
        has_id = bool(gap) or isinstance(start, Live)
        if gap:
            yield _frame(gap)
        elif isinstance(start, Live):
            yield sse.bare_id(*position)
        async for step in self._replay.after(position):
            if isinstance(step, Rest):
                self._stats.resumed += isinstance(start, After) and not gap and not step.gap
                notice = _frame(step.gap) if step.gap else b""
                if not has_id:
                    notice = notice or self._greeting(start, step.place)
                yield Handover(step.place, notice)
            else:
                has_id = True
                yield b"".join([_frame(piece) for piece in step])

    def _greeting(self, start: Start, place: Place) -> bytes:
        """Returns a bare id where the client has none and the ring has no message for it."""
        position = self._feed.timeline.position
        if position is None or isinstance(start, After) or place.cursor < self._feed.ring.end:
            return b""
        return sse.bare_id(*position)


def _frame(piece: Piece) -> bytes:
    return sse.numbered(*piece.position, piece.event) if piece.position else piece.event
