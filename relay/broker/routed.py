"""Commands to whichever server is the master of their key at that time."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from relay.broker.commands import run_script
from relay.broker.elected import ElectedMasters
from relay.broker.errors import NotMaster, Redirected, RedisUnavailable
from relay.broker.master import Master

REDIRECTIONS = 3
"""How often a command follows a redirection. A slot on its way causes two."""

KEY_AT = {"EVALSHA": 3, "EVAL": 3}
"""Where the key stands among the words of a command; of all others it is the first argument."""


class RoutedCommands:
    """Every command names a key, or a channel, and goes to its master.

    No command is repeated that a server may have executed. One that was redirected was not executed.
    """

    def __init__(self, topology: ElectedMasters) -> None:
        self._topology = topology

    async def run(self, *words: Any) -> Any:
        topology = self._topology
        master = await self._master(str(words[KEY_AT.get(words[0], 1)]))
        run: Callable[..., Awaitable[Any]] = master.commands.run
        for _ in range(REDIRECTIONS):
            try:
                return await run(*words)
            except Redirected as error:
                topology.doubt()
                elsewhere = topology.commands_at(error.host, error.port)
                run = elsewhere.run_asking if error.asking else elsewhere.run
            except RedisUnavailable as error:
                if isinstance(error, NotMaster) or not error.refused:
                    topology.doubt()
                raise
        raise RedisUnavailable("the key is on its way from one node to another", refused=False)

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        return await run_script(self.run, name, keys, arguments)

    async def aclose(self) -> None:
        await self._topology.aclose()

    async def _master(self, key: str) -> Master:
        try:
            if not self._topology.fresh:
                await self._topology.look()
        except RedisUnavailable:
            if self._topology.master(key) is None:
                raise
        master = self._topology.master(key)
        if master is None:
            raise RedisUnavailable("no server is the master of this key", refused=False)
        return master
