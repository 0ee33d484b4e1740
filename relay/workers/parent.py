"""The parent of the workers of a host. It owns the listening sockets, and serves nothing itself.

SIGTERM drains all workers and ends; SIGINT ends them at once. SIGHUP is a rolling restart: new workers are
started beside the old ones, and when all of them are live, the old ones stop accepting and end their
streams little by little. If one of the new workers does not become live, the old ones go on.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial

from relay import tasks
from relay.clock import LoopClock
from relay.engine.supervisor import Supervisor
from relay.metrics.host import Collect
from relay.workers.notify import ServiceManager
from relay.workers.process import Launch, WorkerProcess
from relay.workers.slot import Slot
from relay.workers.survey import Survey
from relay.workers.words import Word

logger = logging.getLogger("relay")

START_SECONDS = 30.0
"""How long new workers may take until they are live."""

END_SECONDS = 8.0
"""How long a worker may take to end after its streams were ended."""


Admin = Callable[[Collect], Coroutine[object, object, None]]
"""Serves the admin address until it is cancelled."""


class WorkersFailed(Exception):
    """The workers could not be started, or died again and again. The message is for the user."""


class Parent:
    """`run` it; it returns when all workers have ended, and raises WorkersFailed."""

    def __init__(
        self,
        launch: Launch,
        sockets: Sequence[socket.socket],
        drain_bound: float,
        on_live: Callable[[], None],
        admin: Admin | None = None,
    ) -> None:
        self._slots = [Slot(number, each, launch) for number, each in enumerate(sockets, 1)]
        self._drain_bound = drain_bound
        self._on_live = on_live
        self._manager = ServiceManager()
        self._admin = admin
        self._retired: dict[asyncio.Task[None], WorkerProcess] = {}
        self._keepers: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()
        self._at_once = asyncio.Event()
        self._rolling = asyncio.Event()

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._ending.set)
        loop.add_signal_handler(signal.SIGINT, self._end_at_once)
        loop.add_signal_handler(signal.SIGHUP, self._rolling.set)
        beside = Supervisor(LoopClock())
        beside.start(self._say_that_it_lives, "watchdog")
        if self._admin is not None:
            survey = Survey(self._workers, self._deaths)
            beside.start(partial(self._admin, survey.collect), "admin address")
        try:
            await self._start()
            await self._serve()
        finally:
            self._manager.stopping()
            await tasks.end(self._keepers)
            for slot in self._slots:
                slot.close()
            await self._end_all()
            await beside.stop()

    async def _start(self) -> None:
        try:
            await asyncio.gather(*(slot.start() for slot in self._slots))
        except OSError as error:
            raise WorkersFailed(f"the workers could not be started: {error}") from None
        workers = [slot.worker for slot in self._slots if slot.worker is not None]
        if not await self._live(workers) and not self._ending.is_set():
            raise WorkersFailed(f"the workers could not be started: {_reason(workers)}")
        if not self._ending.is_set():
            self._keep()
            self._manager.ready()
            self._on_live()

    async def _serve(self) -> None:
        """Rolls when it is told to, until it is to end, or a slot gives up."""
        while not self._ending.is_set():
            ending = asyncio.create_task(self._ending.wait())
            rolling = asyncio.create_task(self._rolling.wait())
            waiting = [ending, rolling, *self._keepers]
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            await tasks.end([ending, rolling])
            for keeper in self._keepers & done:
                keeper.result()
                raise WorkersFailed("a worker died again and again; its errors are above")
            if self._rolling.is_set() and not self._ending.is_set():
                self._rolling.clear()
                await self._roll()

    def _keep(self) -> None:
        self._keepers = {asyncio.create_task(slot.keep()) for slot in self._slots}

    def _end_at_once(self) -> None:
        self._at_once.set()
        self._ending.set()

    async def _say_that_it_lives(self) -> None:
        while self._manager.watchdog_seconds:
            self._manager.alive()
            await asyncio.sleep(self._manager.watchdog_seconds / 2)

    # -- what is told at the admin address

    def _workers(self) -> Mapping[str, WorkerProcess]:
        """Returns the workers by their labels, those that drain as well."""
        retired = self._retired.values()
        draining = {f"draining-{worker.pid}": worker for worker in retired}
        present = {str(s.number): s.worker for s in self._slots if s.worker not in retired}
        return {**{n: w for n, w in present.items() if w is not None}, **draining}

    def _deaths(self) -> int:
        return sum(slot.deaths for slot in self._slots)

    # -- a rolling restart

    async def _roll(self) -> None:
        logger.info("Rolling restart: starting %s new workers.", len(self._slots))
        self._manager.reloading()
        news = await self._start_others()
        if len(news) == len(self._slots) and await self._live(news):
            await tasks.end(self._keepers)
            for slot, worker in zip(self._slots, news, strict=True):
                self._retire(slot.replace(worker))
            self._keep()
            logger.info("Rolling restart: the new workers are live; the old ones drain.")
        else:
            await self._give_up(news)
            if not self._ending.is_set():
                logger.error("Rolling restart: new workers do not become live. The old ones go on.")
        if not self._ending.is_set():
            self._manager.ready()

    async def _give_up(self, news: Sequence[WorkerProcess]) -> None:
        for worker in news:
            if worker.ready.is_set():  # it has clients already
                self._retire(worker)
            else:
                worker.kill()
                await worker.ended()

    async def _start_others(self) -> list[WorkerProcess]:
        """Returns a new worker for each slot, or fewer where the system could not start them."""
        starts = (slot.another() for slot in self._slots)
        started = await asyncio.gather(*starts, return_exceptions=True)
        for error in started:
            if isinstance(error, Exception):
                logger.error("A new worker cannot be started: %s.", error)
        return [each for each in started if isinstance(each, WorkerProcess)]

    async def _live(self, workers: Sequence[WorkerProcess]) -> bool:
        """Whether all of them are live, before one ends, the time is up, or this process is to end."""
        all_live = asyncio.gather(*(worker.ready.wait() for worker in workers))
        ends = [asyncio.ensure_future(worker.ended()) for worker in workers]
        ending = asyncio.create_task(self._ending.wait())
        signs: list[asyncio.Future[object]] = [all_live, *ends, ending]  # type: ignore[list-item]
        done, _ = await asyncio.wait(
            signs, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        live = done == {all_live}
        for sign in signs:
            sign.cancel()
        await asyncio.gather(*signs, return_exceptions=True)
        return live

    # -- the end of workers

    def _retire(self, worker: WorkerProcess) -> None:
        task = asyncio.create_task(self._end(worker))
        self._retired[task] = worker
        task.add_done_callback(self._retired.pop)

    async def _end(self, worker: WorkerProcess) -> None:
        """Returns when the worker has ended: when it was drained, asked to stop at once, or killed."""
        ended = asyncio.ensure_future(worker.ended())
        if not self._at_once.is_set():
            worker.tell(Word.CLOSE if self._ending.is_set() else Word.DRAIN)
            at_once = asyncio.create_task(self._at_once.wait())
            bound = self._drain_bound + END_SECONDS
            await asyncio.wait([ended, at_once], timeout=bound, return_when=asyncio.FIRST_COMPLETED)
            await tasks.end([at_once])
        if not ended.done():
            worker.stop()
            await asyncio.wait([ended], timeout=END_SECONDS)
        if not ended.done():
            logger.error("Process %s did not end in time and is killed.", worker.pid)
            worker.kill()
        await ended

    async def _end_all(self) -> None:
        for slot in self._slots:
            if slot.worker is not None:
                self._retire(slot.worker)
        if self._retired:
            await asyncio.wait(set(self._retired))


def _reason(workers: Sequence[WorkerProcess]) -> str:
    """Says why workers are not live, for the user."""
    if any(worker.hung for worker in workers):
        return "one of them said nothing any more and was killed"
    if all(worker.alive for worker in workers):
        return f"they are not live after {START_SECONDS:g} s"
    return "their errors are above"
