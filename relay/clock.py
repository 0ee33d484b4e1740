"""The clock of a hub process: loop time for timers, wall time for what is stored or shown."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Loop time is monotonic, in seconds; wall time is Unix time in ms."""

    def call_soon(self, callback: Callable[..., object], *args: object) -> object: ...

    def call_at(self, when: float, callback: Callable[..., object], *args: object) -> Timer: ...

    def time(self) -> float: ...

    def now_ms(self) -> int: ...


class LoopClock:
    """The clock of the running event loop."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.call_soon = loop.call_soon
        self.call_at = loop.call_at
        self.time = loop.time

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000
