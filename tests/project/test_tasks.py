"""Tasks end when they are told to, whatever they do about it."""

import asyncio
import contextlib

from relay import tasks


async def test_a_task_that_swallows_a_cancellation_ends_all_the_same() -> None:
    async def stubborn() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    async def ordinary() -> None:
        await asyncio.sleep(60)

    started = [asyncio.create_task(work()) for work in (stubborn, ordinary)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await tasks.end(started)
    assert all(task.cancelled() for task in started)
    await tasks.end([])
