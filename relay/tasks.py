"""Ends asyncio tasks reliably, and reports those that fail."""

import asyncio
import logging
from collections.abc import Collection
from typing import Any

logger = logging.getLogger("relay")

AGAIN_SECONDS = 0.2


def report_failure(application: "asyncio.Future[None]") -> None:
    """Logs the error of an ASGI application that has ended by one."""
    error = None if application.cancelled() else application.exception()
    if error is not None:
        logger.error("An application failed; its response is cut.", exc_info=error)


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
