"""Opens epochs: publishes a marker, from which every process counts messages from 1 again."""

from relay.broker.commands import Commands
from relay.broker.keys import Keys

FORGET_SECONDS = 300
"""How long Redis keeps what it has of a channel that was left without ever a message."""


class Epochs:
    """The epochs of one channel. They only grow (relay/broker/scripts/epoch_open.lua)."""

    def __init__(self, commands: Commands, keys: Keys) -> None:
        self._commands = commands
        self._keys = keys

    async def open(self, known: int) -> int:
        """Publishes a marker with a new epoch, above `known`. Returns how many processes received it.

        Raises RedisUnavailable.
        """
        keys = [self._keys.counter, self._keys.history]
        _, receivers, _ = await self._commands.script(
            "epoch_open", keys, [self._keys.marker, known]
        )
        return int(receivers)

    async def leave(self) -> None:
        """Lets Redis forget the channel soon, unless it had messages. Raises RedisUnavailable."""
        keys = [self._keys.history, self._keys.counter]
        words = [self._keys.marker, FORGET_SECONDS * 1000]
        await self._commands.script("channel_left", keys, words)
