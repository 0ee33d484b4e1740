"""A subscribed connection: what Redis sent, on its way to a hub."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from relay.broker.names import Names

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.redis import SimulatedRedis

READ_ITEMS = 10_000
"""The most that one read brings."""

Item = list[bytes] | str
CONFIRMED, PONG, END = "confirmed", "pong", "end"


class Connection:
    """What Subscription is to the listener: a run of the one order, first in, first out."""

    def __init__(
        self, process: "Process", redis: "SimulatedRedis", receive: Callable[[Any], None]
    ) -> None:
        self._process = process
        self._world = process.world
        self._redis = redis
        self._receive = receive
        self._incoming: deque[Item] = deque()
        self._arriving = False
        self._stalled_until = 0.0
        self._paused = False
        self._aborted = False
        self._deaf = False
        self.channels: set[str] = set()
        self.heard = False
        self.server: object = "simulated"
        self._subscribing: deque[asyncio.Future[None]] = deque()
        self._sent: deque[Callable[[], object]] = deque()
        self.closed: asyncio.Future[str] = process.loop.create_future()

    # -- for the listener

    async def subscribe(self, names: Names) -> None:
        confirmed: asyncio.Future[None] = self._process.loop.create_future()
        self._subscribing.append(confirmed)
        self._in_order(self.attach, list(names))
        await confirmed

    def unsubscribe(self, names: Names) -> None:
        self._in_order(self.channels.difference_update, list(names))

    def ping(self) -> None:
        self.heard = False
        self._later(self.put, PONG)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self.heard = True
        self._paused = False
        self._expect()

    def abort(self, reason: str) -> None:
        if not self._aborted and self._process.alive:
            self._aborted = True
            self._later(self.detach)
            if not self.closed.done():
                self.closed.set_result(reason)

    # -- at Redis

    def attach(self, channels: Iterable[str]) -> None:
        first = not self.channels
        if self._redis.down or not (first or self in self._redis.connections):
            self.put(END)
        elif not self._aborted:
            self.channels.update(channels)
            if first:
                self._redis.connections.append(self)
            self.put(CONFIRMED)

    def detach(self) -> None:
        if self in self._redis.connections:
            self._redis.connections.remove(self)

    def put(self, item: Item) -> None:
        if (
            not self._deaf
            and not self._aborted
            and (item != PONG or self in self._redis.connections)
        ):
            self._incoming.append(item)
            self._expect()

    def cut(self) -> None:
        """The connection ends; a part of what is on its way still arrives."""
        self._truncate()
        self.put(END)
        self.detach()

    def deafen(self) -> None:
        """Half open: nothing arrives any more, and nobody says so."""
        self._truncate()
        self._deaf = True

    def stall(self, seconds: float) -> None:
        """Nothing arrives for a while, then everything."""
        self._stalled_until = self._world.now + seconds

    # -- on the way

    def _truncate(self) -> None:
        for _ in range(self._world.random.randint(0, len(self._incoming))):
            self._incoming.pop()

    def _in_order(self, callback: Callable[..., object], *args: object) -> None:
        self._sent.append(partial(callback, *args))
        self._later(lambda: self._sent.popleft()())

    def _later(self, callback: Callable[..., object], *args: object) -> None:
        pause = max(self._process.unplugged_until - self._world.now, 0.0)
        self._world.after(pause + self._world.delay(), self._execute, callback, *args)

    def _execute(self, callback: Callable[..., object], *args: object) -> None:
        """At Redis, as soon as it executes anything."""
        pause = self._redis.stopped_until - self._world.now
        if pause > 0:
            self._world.after(pause + self._world.delay(), self._execute, callback, *args)
        else:
            callback(*args)

    def _expect(self) -> None:
        if not self._arriving and self._incoming:
            self._arriving = True
            until = max(self._stalled_until, self._process.unplugged_until)
            self._world.after(max(until - self._world.now, 0.0) + self._world.delay(), self._arrive)

    def _arrive(self) -> None:
        self._arriving = False
        if self._aborted or self._paused or not self._process.alive:
            return
        if max(self._stalled_until, self._process.unplugged_until) <= self._world.now:
            number = min(len(self._incoming), READ_ITEMS)
            if self._world.random.random() < 0.4:
                number = self._world.random.randint(1, max(number, 1))
            items = [self._incoming.popleft() for _ in range(min(number, len(self._incoming)))]
            self._process.loop.call_soon(self._read, items)
        self._expect()

    def _read(self, items: Sequence[Item]) -> None:
        if self._aborted:
            return
        self.heard = True
        messages = [item for item in items if isinstance(item, list)]
        for _ in range(items.count(CONFIRMED)):
            confirmed = self._subscribing.popleft()
            if not confirmed.done():
                confirmed.set_result(None)
        if messages:
            self._receive(messages)
        if END in items:
            self._end()

    def _end(self) -> None:
        for waiting in self._subscribing:
            if not waiting.done():
                waiting.set_exception(ConnectionError("refused"))
                waiting.exception()
        if not self.closed.done():
            self.closed.set_result("Redis closed the connection")
