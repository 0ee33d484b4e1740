"""Ends asyncio tasks reliably."""

import asyncio
from collections.abc import Collection
from typing import Any

AGAIN_SECONDS = 0.2


async def end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancels the tasks. Returns when all are done."""
    for task in tasks:
        cancel(task)
    if tasks:
        await asyncio.wait(tasks)


def cancel(task: asyncio.Task[Any]) -> None:
    """Cancels the task repeatedly until it is done: a single cancellation may be swallowed.

    See python/cpython#86296.
    """
    if not task.done():
        task.cancel()
        asyncio.get_running_loop().call_later(AGAIN_SECONDS, cancel, task)
