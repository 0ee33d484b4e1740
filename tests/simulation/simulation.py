"""A simulated Redis, network and clients around real hubs, in virtual time, repeatable by its seed.

Everything of the hub is real but its broker (SimulatedBroker), its clock and the connection to the
client. Whatever passes between hub, Redis and client takes a random time; one Redis executes everything
in one order, which `Order` remembers as the truth.
"""

import asyncio
import logging
import random
from contextlib import ExitStack
from dataclasses import replace as changed
from types import TracebackType
from typing import Any, Self
from unittest import mock

from relay import conf
from relay.engine import hub as hub_module
from tests.simulation.client import Client
from tests.simulation.clock import World
from tests.simulation.process import Process
from tests.simulation.redis import SimulatedRedis
from tests.simulation.truth import Violation


class NoKicks:
    """Nobody is kicked here."""

    def __init__(self, *arguments: Any) -> None:
        pass

    def reached(self, *arguments: Any) -> bool:
        return False

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()


class _BugReports(logging.Handler):
    """The hub logs what it calls a bug, and goes on; here it ends the schedule."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            raise Violation(record.getMessage()) from record.exc_info[1]


class Simulation:
    """A world with one Redis, processes and clients. A context manager: it replaces what talks to Redis."""

    redis_type = SimulatedRedis
    client_type = Client

    def __init__(self, seed: int, settings: dict[str, Any]) -> None:
        self.world = World(seed)
        self.settings = settings
        names = [settings["channel"], *(name for name, _ in settings["channels"])]
        self.redis = self.redis_type(self.world, names)
        self.processes: list[Process] = []
        self.clients: list[Client] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(mock.patch.object(hub_module, "KickReceiver", NoKicks))
        logger, handler = logging.getLogger("relay"), _BugReports()
        before = logger.level, logger.propagate
        logger.addHandler(handler)
        logger.setLevel(logging.ERROR)
        logger.propagate = False
        self._stack.callback(logger.removeHandler, handler)
        self._stack.callback(setattr, logger, "propagate", before[1])
        self._stack.callback(logger.setLevel, before[0])
        state = random.getstate()
        random.seed(self.world.random.random())
        self._stack.callback(random.setstate, state)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.processes:
            process.alive = False
            process.loop.end()
        self._stack.close()

    def start_process(self) -> Process:
        settings = changed(conf.load(), **self.settings)
        process = Process(self.world, self.redis, settings, len(self.processes))
        self.processes.append(process)
        process.start()
        return process

    @property
    def alive(self) -> list[Process]:
        return [process for process in self.processes if process.alive and not process.stopping]

    def add_client(self, channel: str, room: int) -> Client:
        client = self.client_type(self.world, self.redis.channels[channel], len(self.clients), room)
        self.clients.append(client)
        return client
