"""Puts the parts together: one hub per process, from the Redis connection to the open streams."""

import asyncio
import logging
import random
import time
from collections.abc import Coroutine

from relay import frames
from relay.arrivals import Arrivals
from relay.conf import Settings
from relay.fanout import Fanout, Subscriber
from relay.feed import Feed
from relay.intake import Intake
from relay.journal import Journal
from relay.keys import Keys
from relay.listener import Listener
from relay.log import Log
from relay.ring import Ring
from relay.start import Start
from relay.stats import Stats
from relay.subscription import RedisAddress
from relay.writers import Writer

logger = logging.getLogger("relay")

TICK_SECONDS = 1.0
"""How often stalled clients are looked for; heartbeats are due at whole ticks or at their own period."""

FLUSH_SECONDS = 0.2
"""What a stopping hub gives the server to push the last bytes into the sockets."""


def jitter(milliseconds: int) -> int:
    """Half to one and a half times as much, so that clients do not come back all at once."""
    return round(milliseconds * random.uniform(0.5, 1.5))


class Hub:
    """`start` and `stop` in the event loop that serves; `join` and `leave` for each stream."""

    def __init__(self, settings: Settings) -> None:
        loop = asyncio.get_running_loop()
        address = RedisAddress(settings.redis_url)
        keys = Keys.of(settings.prefix, settings.channel)
        self.settings = settings
        self.stats = Stats()
        self._ring = Ring(settings.ring_events, settings.ring_bytes)
        self._feed = Feed(settings.channel, self._ring, settings.event_bytes, self.stats)
        self._fanout = Fanout(self._feed, loop, settings.client_buffer_bytes, self.stats)
        self._intake = Intake(self._feed, keys.marker, lambda: len(self._fanout) > 0, self._on_new)
        self._log = log = Log(address.client, keys, settings.history_size, settings.history_seconds)
        self._listener = Listener(
            address,
            keys,
            self._feed,
            self._intake,
            log,
            self._on_live,
            filling=settings.history,
        )
        self._journal = Journal(self._feed, log, lambda: self.live) if settings.history else None
        self._arrivals = Arrivals(
            self._feed,
            self._fanout,
            log if settings.history else None,
            self._journal,
            lambda: self.live,
            self.stats,
        )
        self._fanout.on_drained = self._listener.resume
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._failed = False

    @property
    def live(self) -> bool:
        """Whether the subscription stands, and nothing in here has failed."""
        return self._listener.live and not self._failed

    @property
    def full(self) -> bool:
        """Whether another stream would be over the limit, or the hub is going down."""
        return self._stopping or len(self._fanout) >= self.settings.max_streams

    def start(self) -> None:
        """Begins to listen, to write the history and to tick."""
        self._supervise(self._listener.run(), "listener")
        self._supervise(self._tick(), "ticker")
        if self._journal:
            self._supervise(self._journal.run(), "journal")

    def end_streams(self) -> None:
        """Ends every open stream properly and turns new ones away. Harmless when called again."""
        self._stopping = True
        self._arrivals.stop()
        self._fanout.finish(self.retry)

    async def stop(self) -> None:
        """Ends the streams, writes what the history lacks, then ends the tasks."""
        self.end_streams()
        if self._journal and self.live:
            await self._journal.flush()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._log.aclose()
        await asyncio.sleep(FLUSH_SECONDS)

    def retry(self) -> bytes:
        """The frame that tells a client when to come back, different for each."""
        return frames.retry(jitter(self.settings.retry_ms))

    def overload_retry(self) -> bytes:
        return frames.retry(jitter(self.settings.overload_retry_ms))

    def join(self, writer: Writer, start: Start) -> Subscriber:
        """Opens a stream: `writer` gets what `start` asks for, and everything from here on."""
        self.stats.streams_opened += 1
        subscriber = self._arrivals.join(writer, start)
        self.stats.streams_open = len(self._fanout)
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Closes a stream; harmless when it is closed already."""
        self._arrivals.leave(subscriber)
        self.stats.streams_open = len(self._fanout)

    def _on_new(self) -> None:
        """The feed has something new: a message, a marker, a gap."""
        self._fanout.wake()
        if self._journal:
            self._journal.wake()
        if self._ring.crowded(self._fanout.target):
            self._listener.pause()

    def _on_live(self, alone: bool) -> None:
        if alone and self._journal:
            self._journal.begin()

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        heartbeat_due = loop.time() + self.settings.heartbeat_seconds
        while True:
            await asyncio.sleep(min(TICK_SECONDS, max(0.0, heartbeat_due - loop.time())))
            self._fanout.cut_stalled(self.settings.stall_seconds)
            self.stats.streams_open = len(self._fanout)
            if loop.time() >= heartbeat_due:
                heartbeat_due = loop.time() + self.settings.heartbeat_seconds
                self._beat()

    def _beat(self) -> None:
        if len(self._fanout):
            self._feed.heartbeat(time.time_ns() // 1_000_000)
            self._fanout.wake()

    def _supervise(self, work: Coroutine[object, object, None], name: str) -> None:
        task = asyncio.create_task(self._watch(work, name), name=f"relay-{name}")
        self._tasks.append(task)

    async def _watch(self, work: Coroutine[object, object, None], name: str) -> None:
        try:
            await work
        except Exception:
            logger.exception("The %s of the hub failed; this is a bug. Ending every stream.", name)
            self._failed = True
            self.end_streams()
            raise
