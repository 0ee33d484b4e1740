"""Sends a new stream the past that it requested, before the fan-out takes it over."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import NamedTuple

from relay.feed.fanout import Fanout
from relay.feed.ring import Place
from relay.feed.subscriber import Subscriber
from relay.feed.writer import Chunk, Writer
from relay.stats import Stats

logger = logging.getLogger("relay")


class Handover(NamedTuple):
    """The end of a backlog: the fan-out sends the notice and continues from `place` in the ring."""

    place: Place
    notice: bytes


Backlog = AsyncGenerator[bytes | Handover, None]
"""Yields the past in parts, then one Handover. It must not await after it has looked up the place."""


class CatchingUp:
    """The streams of one fan-out that are not live yet."""

    def __init__(self, fanout: Fanout, stats: Stats) -> None:
        self._fanout = fanout
        self._stats = stats
        self._tasks: dict[Subscriber, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, writer: Writer, backlog: Backlog) -> Subscriber:
        """Holds a new subscriber until the backlog was sent to it."""
        subscriber = self._fanout.hold(writer)
        self._tasks[subscriber] = asyncio.create_task(self._run(subscriber, backlog))
        return subscriber

    def end(self, subscriber: Subscriber) -> None:
        """Stops sending the past to a subscriber. Harmless for one that is live."""
        task = self._tasks.pop(subscriber, None)
        if task:
            task.cancel()

    def stop(self) -> None:
        """Stops sending the past to all subscribers."""
        for subscriber in list(self._tasks):
            self.end(subscriber)

    def heartbeat(self, comment: bytes) -> None:
        """Sends a comment to each subscriber whose writer is not full: it waits for Redis."""
        for subscriber in self._tasks:
            if not subscriber.full:
                self._fanout.send(subscriber, Chunk(comment + b"\n"))

    async def _run(self, subscriber: Subscriber, backlog: Backlog) -> None:
        try:
            await self._follow(subscriber, backlog)
        except Exception:
            extra = subscriber.log_fields()
            logger.exception("A replay failed; this is a bug. Cutting the stream.", extra=extra)
            self._fanout.leave(subscriber)
            subscriber.writer.abort()
        finally:
            self._tasks.pop(subscriber, None)

    async def _follow(self, subscriber: Subscriber, backlog: Backlog) -> None:
        async for step in backlog:
            if isinstance(step, Handover):
                self._fanout.release(subscriber, step.place, step.notice)
                return
            await subscriber.drained()
            subscriber.send(Chunk(step))
            self._stats.sent_bytes += len(step)
            await subscriber.drained()
