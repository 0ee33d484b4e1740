"""The list of living hub processes in Redis. A process that does not sign expires from it."""

import asyncio
import random
import secrets
from collections.abc import Callable

from relay.broker.commands import Commands
from relay.broker.keys import HubKeys

SIGN_SECONDS = 10.0
"""How often a process signs at the least; Presence does so with each refresh."""

EXPIRY_SECONDS = 30.0
"""The time without a sign after which a process counts as dead, with all of its streams."""


def _nothing() -> str:
    return ""


def _take_note(sign: "asyncio.Future[None]") -> None:
    """Marks the error as retrieved: the caller may have been cancelled."""
    if not sign.cancelled():
        sign.exception()


class Processes:
    """The list, and this process in it under `id`. `sign` and `leave` raise RedisUnavailable.

    `report` returns what the list says of this process (report.py), or "" for nothing.
    """

    def __init__(
        self, commands: Commands, keys: HubKeys, report: Callable[[], str] = _nothing
    ) -> None:
        self.id = secrets.token_hex(8)
        self._commands = commands
        self._keys = [keys.processes, keys.reports + self.id]
        self._report = report
        self._signing: asyncio.Future[None] | None = None

    @property
    def expiry_ms(self) -> int:
        """How long a sign, and anything else that Redis holds for this process, is valid."""
        return round(EXPIRY_SECONDS * 1000)

    def pause(self) -> float:
        """Returns how long to wait before the next sign, in seconds."""
        return SIGN_SECONDS * random.uniform(0.8, 1.0)

    async def sign(self) -> None:
        """Signs: enters this process in the list with a report, or renews both."""
        arguments = [self.id, self.expiry_ms, self._report()]
        sign = self._commands.script("process_sign", self._keys, arguments)
        self._signing = asyncio.ensure_future(sign)
        self._signing.add_done_callback(_take_note)
        await asyncio.shield(self._signing)

    async def leave(self) -> None:
        """Removes this process from the list at once, and its report.

        A sign that is under way goes first, also one whose caller was cancelled: Redis might execute it
        after the removal.
        """
        if self._signing is not None:
            await asyncio.wait([self._signing])
        processes, report = self._keys
        await self._commands.run("ZREM", processes, self.id)
        await self._commands.run("DEL", report)
