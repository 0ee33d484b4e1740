"""Brings each new stream to its place in the ring: at once where it can be, else through the history."""

import asyncio
import logging
from collections.abc import Callable

from relay import frames
from relay.events import GapReason
from relay.fanout import Fanout, Subscriber
from relay.feed import Feed
from relay.history import History, HistoryUnavailable
from relay.journal import Journal
from relay.origin import before_last, since
from relay.pages import Pages
from relay.position import Position
from relay.replay import Replay, Send
from relay.ring import Place
from relay.start import After, Live, Rewind, Since, Start
from relay.stats import Stats
from relay.writers import Chunk, Writer

logger = logging.getLogger("relay")


class Arrivals:
    """`join` and `leave` of the streams of one feed. `log` is None where there is no history."""

    def __init__(
        self,
        feed: Feed,
        fanout: Fanout,
        log: History | None,
        journal: Journal | None,
        is_live: Callable[[], bool],
        stats: Stats,
    ) -> None:
        self._feed = feed
        self._fanout = fanout
        self._log = log
        self._stats = stats
        pages = Pages(log, stats) if log else None
        self._replay = Replay(
            feed, pages, is_live, lambda: journal is None or journal.failing, stats
        )
        self._tasks: dict[Subscriber, asyncio.Task[None]] = {}

    def join(self, writer: Writer, start: Start) -> Subscriber:
        """From now on `writer` gets what `start` asks for, then everything that is published."""
        found = self._at_once(start)
        if found is not None:
            return self._fanout.join(writer, *found)
        subscriber = self._fanout.hold(writer)
        self._tasks[subscriber] = asyncio.create_task(self._bring(subscriber, start))
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Forgets a stream; harmless when it is gone already."""
        task = self._tasks.pop(subscriber, None)
        if task:
            task.cancel()
        self._fanout.leave(subscriber)

    def stop(self) -> None:
        """No more streams are brought anywhere; those that are under way get nothing more."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    # -- what the ring has

    def _at_once(self, start: Start) -> tuple[Place, bytes] | None:
        match start:
            case Live():
                return self._live()
            case After(position):
                return self._after(position) if position else self._replay.leap()
            case Rewind(number):
                return self._rewound(number)
            case Since(time_ms):
                return self._since(time_ms)

    def _live(self) -> tuple[Place, bytes]:
        at = self._feed.position
        return self._end(), frames.bare_id(*at) if at else b""

    def _after(self, position: Position) -> tuple[Place, bytes] | None:
        place = self._feed.find(position)
        if place is None:
            return None
        self._stats.resumed += 1
        return place, b""

    def _rewound(self, number: int | None) -> tuple[Place, bytes] | None:
        ring = self._feed.ring
        if number is not None and self._feed.count - number >= ring.dropped:
            count = self._feed.count - number
            return Place(ring.index_after(count) or ring.start, count), b""
        return None if self._log else (self._start(), b"")

    def _since(self, time_ms: int) -> tuple[Place, bytes] | None:
        ring = self._feed.ring
        index = ring.index_since(time_ms)
        if index > ring.start:
            return ring.place(index), b""
        return None if self._log else self._from_ring(GapReason.HISTORY_UNAVAILABLE)

    def _from_ring(self, reason: GapReason) -> tuple[Place, bytes]:
        place = self._start()
        return place, self._replay.gap(None, self._feed.position_at(place), None, reason)

    def _start(self) -> Place:
        return self._feed.ring.place(self._feed.ring.start)

    def _end(self) -> Place:
        return self._feed.ring.place(self._feed.ring.end)

    # -- what only the history has

    async def _bring(self, subscriber: Subscriber, start: Start) -> None:
        ready = asyncio.Event()

        def on_ready() -> None:
            subscriber.full = False
            ready.set()

        async def send(body: bytes) -> None:
            ready.clear()
            subscriber.full = not subscriber.writer.send(Chunk(body))
            if subscriber.full:
                await ready.wait()

        subscriber.writer.on_ready = on_ready

        try:
            place, notice = await self._way(start, send)
            self._fanout.release(subscriber, place, notice)
        except Exception:
            logger.exception("A replay failed; this is a bug. Cutting the stream.")
            self._fanout.leave(subscriber)
            subscriber.writer.abort()
        finally:
            self._tasks.pop(subscriber, None)

    async def _way(self, start: Start, send: Send) -> tuple[Place, bytes]:
        if isinstance(start, After) and start.position is not None:
            place, notice = await self._replay.bring(start.position, send)
            self._stats.resumed += not notice
            return place, notice
        try:
            origin = await self._origin(start)
        except HistoryUnavailable:
            return self._from_ring(GapReason.HISTORY_UNAVAILABLE)
        if origin is None:
            return self._start(), b""
        at, reason = origin
        if reason:
            await send(self._replay.gap(None, at, None, reason))
        return await self._replay.bring(at, send)

    async def _origin(self, start: Start) -> tuple[Position, GapReason | None] | None:
        assert self._log is not None
        if isinstance(start, Since):
            return await since(self._feed, self._log, start.time_ms)
        assert isinstance(start, Rewind)
        at = await before_last(self._feed, self._log, start.number)
        return (at, None) if at else None
