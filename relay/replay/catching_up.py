"""Sends a new stream what it asked for of the past, before the fan-out takes it over."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from relay.feed.fanout import Fanout, Subscriber
from relay.feed.ring import Place
from relay.feed.writer import Chunk, Writer
from relay.wire import sse

logger = logging.getLogger("relay")

Send = Callable[[bytes], Awaitable[None]]
"""Returns when the client takes more."""

Way = Callable[[Send], Awaitable[tuple[Place, bytes]]]
"""Sends what it has to, then returns where to go on and a last notice, with nothing awaited after."""


class CatchingUp:
    """The streams of one fan-out that are on their way into it."""

    def __init__(self, fanout: Fanout) -> None:
        self._fanout = fanout
        self._held: dict[Subscriber, asyncio.Task[None]] = {}

    def bring(self, writer: Writer, way: Way) -> Subscriber:
        """Holds a new subscriber until `way` has brought it to its place in the ring."""
        subscriber = self._fanout.hold(writer)
        self._held[subscriber] = asyncio.create_task(self._run(subscriber, way))
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Forgets a stream, on its way or not; harmless when it is gone already."""
        task = self._held.pop(subscriber, None)
        if task:
            task.cancel()
        self._fanout.leave(subscriber)

    def beat(self) -> None:
        """A comment to those who wait for Redis, not for their own slowness."""
        for subscriber in self._held:
            if not subscriber.full:
                subscriber.full = not subscriber.writer.send(Chunk(sse.COMMENT + b"\n"))

    def stop(self) -> None:
        """Nobody is brought any further."""
        for task in self._held.values():
            task.cancel()
        self._held.clear()

    async def _run(self, subscriber: Subscriber, way: Way) -> None:
        ready = asyncio.Event()

        def on_ready() -> None:
            subscriber.full = False
            ready.set()

        async def drained() -> None:
            while subscriber.full:
                ready.clear()
                await ready.wait()

        async def send(body: bytes) -> None:
            await drained()
            subscriber.full = not subscriber.writer.send(Chunk(body))
            await drained()

        subscriber.writer.on_ready = on_ready
        try:
            place, notice = await way(send)
            self._fanout.release(subscriber, place, notice)
        except Exception:
            logger.exception("A replay failed; this is a bug. Cutting the stream.")
            self._fanout.leave(subscriber)
            subscriber.writer.abort()
        finally:
            self._held.pop(subscriber, None)
