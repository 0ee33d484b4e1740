"""How tasks are ended."""

import asyncio
from collections.abc import Collection
from typing import Any

AGAIN_SECONDS = 0.2


async def end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancels the tasks until all of them are done: one cancellation may be swallowed on its way
    (python/cpython#86296)."""
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=AGAIN_SECONDS)
