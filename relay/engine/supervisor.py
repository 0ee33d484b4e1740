"""The tasks of a hub: started, watched and ended in one place."""

import asyncio
import logging
from collections.abc import Callable, Coroutine

from relay import tasks

logger = logging.getLogger("relay")


class Supervisor:
    """`on_failure` is called when a task has raised, which is a bug."""

    def __init__(self, on_failure: Callable[[], None]) -> None:
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[None]] = set()
        self.failed = False

    def start(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        """Runs the work until it ends, or the hub does."""
        task = asyncio.create_task(self._watch(work, name), name=f"relay: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Cancels every task, and returns when all have ended."""
        await tasks.end(self._tasks)

    async def _watch(self, work: Coroutine[object, object, None], name: str) -> None:
        try:
            await work
        except Exception:
            logger.exception("The %s of the hub failed; this is a bug. Ending every stream.", name)
            self.failed = True
            self._on_failure()
            raise
