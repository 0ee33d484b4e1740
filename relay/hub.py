"""Puts the parts together: one hub per process, from the Redis connection to the open streams."""

import asyncio
import logging
import random
from collections.abc import Coroutine, Sequence

from relay import frames
from relay.conf import Settings
from relay.events import GapReason
from relay.fanout import Fanout, Subscriber
from relay.feed import Feed
from relay.listener import Listener
from relay.ring import Ring
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
        self.settings = settings
        self.stats = Stats()
        self._ring = Ring(settings.ring_events, settings.ring_bytes)
        self._feed = Feed(settings.channel, self._ring, settings.event_bytes, self.stats)
        self._fanout = Fanout(
            settings.channel, self._ring, loop, settings.client_buffer_bytes, self.stats
        )
        self._listener = Listener(
            RedisAddress(settings.redis_url), [settings.channel], self._receive, self._on_live
        )
        self._fanout.on_drained = self._listener.resume
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    @property
    def live(self) -> bool:
        """Whether the subscription stands."""
        return self._listener.live

    @property
    def full(self) -> bool:
        """Whether another stream would be over the limit, or the hub is going down."""
        return self._stopping or len(self._fanout) >= self.settings.max_streams

    def start(self) -> None:
        """Begins to listen and to tick."""
        self._supervise(self._listener.run(), "listener")
        self._supervise(self._tick(), "ticker")

    async def ready(self) -> bool:
        """Waits for the first attempt to subscribe; returns whether it succeeded."""
        await self._listener.first_attempt.wait()
        return self.live

    def end_streams(self) -> None:
        """Ends every open stream properly and turns new ones away. Harmless when called again."""
        self._stopping = True
        self._fanout.finish(self.retry)

    async def stop(self) -> None:
        """Ends the streams, then the tasks. Harmless when called again."""
        self.end_streams()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(FLUSH_SECONDS)

    def retry(self) -> bytes:
        """The frame that tells a client when to come back, different for each."""
        return frames.retry(jitter(self.settings.retry_ms))

    def overload_retry(self) -> bytes:
        return frames.retry(jitter(self.settings.overload_retry_ms))

    def join(self, writer: Writer) -> Subscriber:
        """Opens a stream: `writer` gets everything from here on."""
        self.stats.streams_opened += 1
        subscriber = self._fanout.join(writer)
        self.stats.streams_open = len(self._fanout)
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Closes a stream; harmless when it is closed already."""
        self._fanout.leave(subscriber)
        self.stats.streams_open = len(self._fanout)

    def _receive(self, messages: Sequence[Sequence[bytes]]) -> None:
        receive = self._feed.receive
        for _, _, payload in messages:
            receive(payload)
        self._fanout.wake()
        if self._ring.crowded(self._fanout.target):
            self._listener.pause()

    def _on_live(self, first: bool) -> None:
        # Whoever joined before the first subscription stood may have missed something as well.
        if len(self._fanout):
            self.stats.gaps_redis_lost += not first
            self._feed.lose(GapReason.REDIS_LOST)
            self._fanout.wake()

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        heartbeat_due = loop.time() + self.settings.heartbeat_seconds
        while True:
            await asyncio.sleep(min(TICK_SECONDS, max(0.0, heartbeat_due - loop.time())))
            self._fanout.cut_stalled(self.settings.stall_seconds)
            self.stats.streams_open = len(self._fanout)
            if loop.time() >= heartbeat_due:
                heartbeat_due = loop.time() + self.settings.heartbeat_seconds
                if len(self._fanout):
                    self._feed.heartbeat()
                    self._fanout.wake()

    def _supervise(self, work: Coroutine[object, object, None], name: str) -> None:
        task = asyncio.create_task(self._restart(work, name), name=f"relay-{name}")
        self._tasks.append(task)

    async def _restart(self, work: Coroutine[object, object, None], name: str) -> None:
        try:
            await work
        except Exception:
            logger.exception("The %s of the hub failed; this is a bug. Ending every stream.", name)
            self._fanout.finish(self.retry)
            raise
