"""Brings each new stream to its place in the ring: at once where it can be, else through the history."""

import asyncio
from collections.abc import Callable

from relay.broker.errors import RedisUnavailable
from relay.feed.fanout import Fanout, Subscriber
from relay.feed.feed import Feed
from relay.feed.ring import Place
from relay.feed.start import After, Live, Rewind, Since, Start
from relay.feed.writer import Writer
from relay.history.history import History
from relay.history.journal import Journal
from relay.history.page_cache import PageCache
from relay.replay.catching_up import CatchingUp, Send
from relay.replay.locate import before_last, since
from relay.replay.replay import Replay
from relay.stats import Stats
from relay.wire import sse
from relay.wire.notices import GapReason
from relay.wire.position import Position

POLL_SECONDS = 0.02
LONGEST_POLL_SECONDS = 0.25
"""Thousands that wait must not keep the processor from what they wait for."""


class Arrivals:
    """The streams of one feed. `history` is None where there is none."""

    def __init__(
        self,
        feed: Feed,
        fanout: Fanout,
        history: History | None,
        journal: Journal | None,
        is_live: Callable[[], bool],
        stats: Stats,
    ) -> None:
        pages = PageCache(history, stats) if history else None
        self.replay = Replay(
            feed, pages, is_live, lambda: journal is None or journal.failing, stats
        )
        self._is_live = is_live
        self._feed = feed
        self._fanout = fanout
        self._history = history
        self._stats = stats
        self.bringing = CatchingUp(fanout)

    def join(self, writer: Writer, start: Start) -> Subscriber:
        """From now on `writer` gets what `start` asks for, then everything that is published."""
        found = self._at_once(start)
        if found is not None:
            return self._fanout.join(writer, *found)
        at = self._feed.position
        return self.bringing.bring(writer, lambda send: self._way(start, at, send))

    async def begin(self, start: Start, at: Position | None) -> tuple[Position, GapReason | None]:
        """The position after which `start` begins; with a reason where what is before it is lost.

        `at` is where the feed was when the client came.
        """
        was_live = self._is_live()
        pause = POLL_SECONDS
        while at is None:  # not subscribed yet: it gets all that is heard from the first marker on
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_POLL_SECONDS)
            at = self._feed.first_position
        match start:
            case Live():
                return at, None if was_live else GapReason.REDIS_LOST
            case After(position):
                return (position, None) if position else (at, GapReason.UNKNOWN_ID)
            case Rewind() | Since():
                return await self._past(start, at)

    # -- what the ring has

    def _at_once(self, start: Start) -> tuple[Place, bytes] | None:
        at = self._feed.position
        if at is None:
            return None  # not subscribed yet
        place = self._in_ring(start)
        if place is None:
            return None
        return place, sse.bare_id(*at) if isinstance(start, Live) else b""

    def _in_ring(self, start: Start) -> Place | None:
        match start:
            case Live():
                return self._end()
            case After(None):
                return None
            case After(position):
                return self._after(position)
            case Rewind(number):
                return self._rewound(number)
            case Since(time_ms):
                index = self._feed.ring.index_since(time_ms)
                return self._feed.ring.place(index) if index > self._feed.ring.start else None

    def _after(self, position: Position | None) -> Place | None:
        place = self._feed.find(position) if position else None
        self._stats.resumed += place is not None
        return place

    def _rewound(self, number: int | None) -> Place | None:
        ring = self._feed.ring
        if number is None or self._feed.count - number < ring.dropped:
            return None
        count = self._feed.count - number
        return Place(ring.index_after(count) or ring.start, count)

    def _end(self) -> Place:
        return self._feed.ring.place(self._feed.ring.end)

    # -- what only the history has

    async def _way(self, start: Start, came_at: Position | None, send: Send) -> tuple[Place, bytes]:
        at, reason = await self.begin(start, came_at)
        if reason:
            await send(self.replay.gap(None, at, None, reason))
        elif isinstance(start, Live):
            await send(sse.bare_id(*at))
        place, notice = await self.replay.bring(at, send)
        self._stats.resumed += isinstance(start, After) and not reason and not notice
        return place, notice

    async def _past(self, start: Rewind | Since, at: Position) -> tuple[Position, GapReason | None]:
        place, reason = self._in_ring(start), None
        if place is None:
            reason = GapReason.HISTORY_UNAVAILABLE if isinstance(start, Since) else None
            if self._history is not None:
                try:
                    found = await self._in_history(start, self._history)
                    reason = None
                except RedisUnavailable:
                    found, reason = None, GapReason.HISTORY_UNAVAILABLE
                if found is not None:
                    return found
            place = self._feed.ring.place(self._feed.ring.start)
        return self._feed.position_at(place) or at, reason

    async def _in_history(
        self, start: Rewind | Since, history: History
    ) -> tuple[Position, GapReason | None] | None:
        if isinstance(start, Since):
            return await since(self._feed, history, start.time_ms)
        at = await before_last(self._feed, history, start.number)
        return (at, None) if at else None
