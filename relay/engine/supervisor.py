"""The tasks of a hub: started, watched, started again and ended in one place."""

import asyncio
import logging
from collections.abc import Callable, Coroutine

from relay import tasks
from relay.broker.backoff import Backoff
from relay.clock import Clock

logger = logging.getLogger("relay")

BACKOFF_SECONDS = 0.1, 30.0
"""The first and the longest pause before a part that failed is started again."""

CALM_SECONDS = 60.0
"""A part that has run for so long had recovered: its next failure is a first one again."""

Work = Callable[[], Coroutine[object, object, None]]


class Supervisor:
    """A part that raises has a bug. It is started again, and nothing else ends because of it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._failing: set[str] = set()

    @property
    def failing(self) -> bool:
        """Whether a part has failed and does not run again yet."""
        return bool(self._failing)

    def start(self, work: Work, name: str) -> asyncio.Task[None]:
        """Runs the work until it returns, or the hub ends."""
        task = asyncio.create_task(self._keep(work, name), name=f"relay: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Cancels every task, and returns when all have ended."""
        await tasks.end(self._tasks)

    async def _keep(self, work: Work, name: str) -> None:
        backoff = Backoff(*BACKOFF_SECONDS)
        while True:
            started_at = self._clock.time()
            try:
                await work()
                return
            except Exception:
                logger.exception("The %s failed; this is a bug. Starting it again.", name)
            if self._clock.time() - started_at >= CALM_SECONDS:
                backoff.reset()
            self._failing.add(name)
            try:
                await asyncio.sleep(backoff.next())
            finally:
                self._failing.discard(name)
