"""What deployments have in common in which another server may become the master."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable

from relay import tasks
from relay.broker.commands import ServerCommands
from relay.broker.errors import RedisUnavailable
from relay.broker.master import Master

FRESH_SECONDS = 2.5
"""How old the knowledge of the masters may be for a command. A hub looks each second."""


class ElectedMasters(ABC):
    """Knows the masters as of the last look. Whoever looks at the same time looks together."""

    deployment: str
    """`sentinel` or `cluster`."""

    fixed = False

    def __init__(self, name: str) -> None:
        self.name = name
        """For the log; holds no password."""
        self.settled = True
        """Whether no other server is about to become a master, as far as this process knows."""
        self._looked_at: float | None = None
        self._doubts = 0
        self._looking: asyncio.Task[None] | None = None

    @abstractmethod
    def master(self, key: str) -> Master | None:
        """Returns the master of a key, as of the last look. None where nobody knows one."""

    @abstractmethod
    def commands_at(self, host: str, port: int) -> ServerCommands:
        """Returns commands to the server at an address that a redirection names."""

    @property
    def fresh(self) -> bool:
        """Whether a command may rely on the last look."""
        at = self._looked_at
        return at is not None and time.monotonic() - at < FRESH_SECONDS

    def doubt(self) -> None:
        """Called when a master does not answer, or is none any more: the next command looks first."""
        self._looked_at = None
        self._doubts += 1

    async def look(self) -> None:
        """Asks which servers are the masters now. Raises RedisUnavailable when nobody answers."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        doubts = self._doubts
        await asyncio.shield(self._looking)
        if doubts == self._doubts:
            self._looked_at = time.monotonic()

    async def aclose(self) -> None:
        """Closes the connections for commands."""
        if self._looking is not None:
            await tasks.end([self._looking])
        await self._close()

    @abstractmethod
    async def _look(self) -> None:
        """Does what `look` promises."""

    @abstractmethod
    async def _close(self) -> None: ...


def nobody_answers(reason: str, errors: Iterable[object]) -> RedisUnavailable:
    """Returns the error for when none of the servers answered that were asked."""
    refused = any(isinstance(error, RedisUnavailable) and error.refused for error in errors)
    return RedisUnavailable(reason, refused=refused)
