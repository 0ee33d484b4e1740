"""Virtual time: a world in which calls happen at moments, and event loops that share it."""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.simulation.truth import Violation

START_MS = 1_700_000_000_000
TURN_SECONDS = 20e-6
"""What one turn of a hub's event loop takes at the least."""


class Handle:
    """A call that can be cancelled, as asyncio.Handle and asyncio.TimerHandle."""

    __slots__ = ("_when", "args", "callback", "gone")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], when: float) -> None:
        self.callback, self.args, self._when = callback, args, when
        self.gone = False

    def cancel(self) -> None:
        self.gone = True

    def cancelled(self) -> bool:
        return self.gone

    def when(self) -> float:
        return self._when


class World:
    """Virtual time: calls at moments; those of one moment keep their order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.calls_made = 0
        self._calls: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._serial = 0

    def after(self, seconds: float, callback: Callable[..., object], *args: object) -> None:
        self._serial += 1
        heapq.heappush(self._calls, (self.now + seconds, self._serial, callback, args))

    def run(self, seconds: float) -> None:
        """Lets this much time pass."""
        end = self.now + seconds
        calls = self._calls
        while calls and calls[0][0] <= end:
            self.now, _, callback, args = heapq.heappop(calls)
            self.calls_made += 1
            callback(*args)
        self.now = end

    def delay(self) -> float:
        """What a way through the network takes: mostly short, now and then long."""
        chance = self.random.random()
        mean = 0.0005 if chance < 0.8 else 0.005 if chance < 0.96 else 0.04
        return self.random.expovariate(1 / mean)


class VirtualLoop(asyncio.AbstractEventLoop):
    """The event loop of one process. One that is suspended, or has ended, runs nothing."""

    def __init__(self, world: World, skew_ms: int) -> None:
        self._world = world
        self._ready: deque[Handle] = deque()
        self._turning = False
        self._skew_ms = skew_ms
        self._tasks: list[asyncio.Task[Any]] = []
        self.suspended = False
        self.ended = False

    def end(self) -> None:
        """SIGKILL: what was under way goes no further."""
        self.ended = True
        for task in self._tasks:
            if not task.done():
                task.get_coro().close()
        self._tasks.clear()

    def wall_ms(self) -> int:
        return START_MS + self._skew_ms + int(self._world.now * 1000)

    def resume(self) -> None:
        self.suspended = False
        self._wake()

    # -- asyncio.AbstractEventLoop, as far as it is needed

    def time(self) -> float:
        return self._world.now

    def get_debug(self) -> bool:
        return False

    def is_closed(self) -> bool:
        return self.ended

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> Any:
        task = asyncio.Task(coro, loop=self, name=name)
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # kill -9 is no mistake
        if len(self._tasks) >= 500:
            self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(task)
        return task

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        handle = Handle(callback, args, self._world.now)
        if not self.ended:
            self._ready.append(handle)
            self._wake()
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        return self.call_at(self._world.now + delay, callback, *args)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        handle = Handle(callback, args, when)
        if not self.ended:
            self._world.after(max(when - self._world.now, 0.0), self._expire, handle)
        return handle

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.ended:
            raise Violation(f"an exception in a hub: {context}") from context.get("exception")

    # -- turns

    def _expire(self, handle: Handle) -> None:
        if not handle.gone and not self.ended:
            self._ready.append(handle)
            self._wake()

    def _wake(self) -> None:
        if not self._turning and not self.suspended:
            self._turning = True
            self._world.after(TURN_SECONDS, self.turn)

    def turn(self) -> None:
        self._turning = False
        if self.suspended or self.ended:
            return
        ready = self._ready
        asyncio._set_running_loop(self)
        try:
            for _ in range(len(ready)):
                handle = ready.popleft()
                if not handle.gone:
                    handle.callback(*handle.args)
        finally:
            asyncio._set_running_loop(None)
        if ready and not self.ended:
            self._wake()

    @contextmanager
    def running(self) -> Iterator[None]:
        """For calls from outside that need a running loop."""
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)


class VirtualClock:
    """What relay.clock.LoopClock is to the hub; the wall clock of a process may be wrong."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.call_soon = loop.call_soon
        self.call_at = loop.call_at
        self.time = loop.time
        self._loop = loop

    def now_ms(self) -> int:
        return self._loop.wall_ms()
