"""A place for a worker: its listening socket, and the worker that accepts from it."""

import asyncio
import logging
import socket

from relay.broker.backoff import Backoff
from relay.workers.process import Launch, WorkerProcess

logger = logging.getLogger("relay")

BACKOFF_SECONDS = 0.1, 10.0
"""The first and the longest pause before a worker that died is started again."""

CALM_SECONDS = 60.0
"""A worker that lived for this long was well, so its death counts as the first one."""

DEATHS = 10
"""After so many deaths in a row, each within CALM_SECONDS, the slot gives up."""


class Slot:
    """Keeps one worker alive. The socket stays open meanwhile, so no waiting connection is lost."""

    def __init__(self, number: int, listening: socket.socket, launch: Launch) -> None:
        self.number = number
        self._listening = listening
        self._launch = launch
        self.worker: WorkerProcess | None = None
        self.deaths = 0
        """How often a worker of it ended unasked."""

    async def start(self) -> None:
        """Starts the first worker."""
        self.worker = await self.another()

    async def another(self) -> WorkerProcess:
        """Starts a worker beside the present one, which accepts from the same socket."""
        return await WorkerProcess.start(self._launch, self._listening, self.number)

    def close(self) -> None:
        """Closes the socket: nobody accepts from it any more when the worker has closed it, too."""
        self._listening.close()

    async def keep(self) -> None:
        """Starts a worker anew whenever it has died. Returns when that does not help any more.

        Cancel it before the worker is meant to end.
        """
        loop = asyncio.get_running_loop()
        backoff, deaths, began = Backoff(*BACKOFF_SECONDS), 0, loop.time()
        while deaths < DEATHS:
            assert self.worker is not None
            code = await self.worker.ended()
            if loop.time() - began >= CALM_SECONDS:
                backoff.reset()
                deaths = 0
            deaths += 1
            self.deaths += 1
            self._report(self.worker, code)
            await asyncio.sleep(backoff.next())
            began = loop.time()
            try:
                self.worker = await self.another()
            except OSError as error:  # the dead one stays, and counts as dead once more
                extra = {"worker": self.number}
                logger.error("Worker %s cannot be started: %s.", self.number, error, extra=extra)
        extra = {"worker": self.number}
        logger.error(
            "Worker %s has died %s times in a row. Giving up.", self.number, DEATHS, extra=extra
        )

    def replace(self, worker: WorkerProcess) -> WorkerProcess:
        """Makes another worker the present one. Returns the one before."""
        assert self.worker is not None
        before, self.worker = self.worker, worker
        return before

    def _report(self, worker: WorkerProcess, code: int) -> None:
        how = "said nothing any more and was killed" if worker.hung else f"ended with code {code}"
        extra = {"worker": self.number}
        words = self.number, worker.pid, how
        logger.error("Worker %s (process %s) %s. Starting another.", *words, extra=extra)
