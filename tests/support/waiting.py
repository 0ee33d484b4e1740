"""Waiting for an event, and the bounds of time that the hub promises."""

import asyncio
import inspect
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SLACK = float(os.environ.get("TEST_SLACK", "1"))
"""By how much the promised times are widened; the head of a run says so when it is not 1."""


LEAST_PAUSE, LONGEST_PAUSE = 0.005, 0.05
"""Between two looks at a condition. A look at a hub costs milliseconds of CPU, which other tests lack."""


def at_most(seconds: float) -> float:
    """The bound in which something was promised within `seconds`."""
    return seconds * SLACK


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Asserts that its block takes less time than is promised."""
    begin = time.monotonic()
    yield
    took = time.monotonic() - begin
    assert took < at_most(seconds), f"took {took:.2f} s, not {at_most(seconds):g} s"


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 10.0) -> Any:
    """Returns what `condition` returns when that is true; fails with `what` when it does not become so."""
    begin = time.monotonic()
    while (waited := time.monotonic() - begin) < seconds:
        if result := condition():
            return result
        time.sleep(_pause(waited))
    raise AssertionError(f"not within {seconds:g} s: {what}")


async def until(condition: Callable[[], Any], seconds: float = 5.0) -> Any:
    """As `wait_until`, on an event loop; `condition` may return an awaitable."""
    begin = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            while True:
                result = condition()
                if inspect.isawaitable(result):
                    result = await result
                if result:
                    return result
                await asyncio.sleep(_pause(time.monotonic() - begin))
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s") from None


def _pause(waited: float) -> float:
    return min(max(waited / 10, LEAST_PAUSE), LONGEST_PAUSE)


@contextmanager
def repeating(act: Callable[[], object], every_seconds: float) -> Iterator[None]:
    """Inside, a thread acts again and again."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(every_seconds):
            act()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)
