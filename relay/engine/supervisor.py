"""The tasks of a hub: started, restarted and ended in one place."""

import asyncio
import logging
from collections.abc import Callable, Coroutine

from relay import tasks
from relay.broker.backoff import Backoff
from relay.clock import Clock

logger = logging.getLogger("relay")

BACKOFF_SECONDS = 0.1, 30.0
"""The first and the longest pause before a failed part is started again."""

CALM_SECONDS = 60.0
"""A part that ran for this long had recovered, so its next failure counts as the first one."""

Work = Callable[[], Coroutine[object, object, None]]


class Supervisor:
    """Runs the parts of the hub. A part that raises has a bug: it is started again, the others run on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._failing: set[str] = set()

    @property
    def failing(self) -> bool:
        """Whether a part has failed and was not started again yet."""
        return bool(self._failing)

    def start(self, work: Work, name: str) -> asyncio.Task[None]:
        """Runs `work` in a task, until it returns or `stop` is called. Starts it again when it raises."""
        task = asyncio.create_task(self._keep(work, name), name=f"relay: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Cancels every task. Returns when all are done."""
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
