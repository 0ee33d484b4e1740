"""The list of living hub processes in Redis. A process that does not sign expires from it."""

import random
import secrets

from relay.broker.commands import Commands
from relay.broker.keys import HubKeys

SIGN_SECONDS = 10.0
"""How often a process signs at the least; Presence does so with each refresh."""

EXPIRY_SECONDS = 30.0
"""The time without a sign after which a process counts as dead, with all of its streams."""


class Processes:
    """The list, and this process in it under `id`. `sign` and `leave` raise RedisUnavailable."""

    def __init__(self, commands: Commands, keys: HubKeys) -> None:
        self.id = secrets.token_hex(8)
        self._commands = commands
        self._key = keys.processes

    @property
    def expiry_ms(self) -> int:
        """How long a sign, and anything else that Redis holds for this process, is valid."""
        return round(EXPIRY_SECONDS * 1000)

    def pause(self) -> float:
        """Returns how long to wait before the next sign, in seconds."""
        return SIGN_SECONDS * random.uniform(0.8, 1.0)

    async def sign(self) -> None:
        """Signs: enters this process in the list, or renews its entry."""
        await self._commands.script("process_sign", [self._key], [self.id, self.expiry_ms])

    async def leave(self) -> None:
        """Removes this process from the list at once."""
        await self._commands.run("ZREM", self._key, self.id)
