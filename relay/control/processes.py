"""Which hub processes live: a list in Redis, from which one that gives no sign expires."""

import random
import secrets

from relay.broker.commands import Commands
from relay.broker.keys import HubKeys

SIGN_SECONDS = 10.0
"""How often a process gives a sign of life (Presence does, with what it refreshes)."""

EXPIRY_SECONDS = 30.0
"""After so long without a sign a process counts as gone, with all of its streams."""


class Processes:
    """The list, and this process in it under `id`. `sign` and `leave` raise RedisUnavailable."""

    def __init__(self, commands: Commands, keys: HubKeys) -> None:
        self.id = secrets.token_hex(8)
        self._commands = commands
        self._key = keys.processes

    @property
    def expiry_ms(self) -> int:
        """For how long a sign counts, and whatever else Redis holds of this process."""
        return round(EXPIRY_SECONDS * 1000)

    def pause(self) -> float:
        """Returns how long to wait before the next sign, in seconds."""
        return SIGN_SECONDS * random.uniform(0.8, 1.0)

    async def sign(self) -> None:
        """Gives a sign of life."""
        await self._commands.script("process_sign", [self._key], [self.id, self.expiry_ms])

    async def leave(self) -> None:
        """This process is gone at once, unless it signs again."""
        await self._commands.run("ZREM", self._key, self.id)
