"""Commands and scripts over connections of their own, beside the one that only listens."""

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError, NoScriptError, RedisError, TimeoutError

from relay.history import HistoryUnavailable

_LUA = Path(__file__).with_name("lua")

Script = tuple[str, Sequence[str], Sequence[Any]]
"""(name, keys, arguments) of a file in relay/lua/."""


class Commands:
    """All methods raise HistoryUnavailable when Redis cannot or will not."""

    def __init__(self, connect: Callable[[], Redis]) -> None:
        self._connect = connect
        self._client = connect()
        self._before: Redis | None = None

    async def renew(self) -> None:
        """Makes new connections: those there are may lead to a server that was replaced.

        What is under way on the old ones gets until the next time to end.
        """
        old, self._before, self._client = self._before, self._client, self._connect()
        if old:
            await old.aclose()

    async def aclose(self) -> None:
        for client in filter(None, (self._before, self._client)):
            await client.aclose()

    async def run(self, *words: Any) -> Any:
        try:
            return await self._client.execute_command(*words)
        except NoScriptError:
            raise
        except (ConnectionError, TimeoutError, OSError) as error:
            raise HistoryUnavailable(str(error) or "no answer", refused=False) from None
        except RedisError as error:
            raise HistoryUnavailable(f"Redis refused {words[0]}: {error}", refused=True) from None

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Runs a script by its digest, and sends the whole only where Redis does not know it."""
        text, digest = _script(name)
        words = [len(keys), *keys, *arguments]
        try:
            return await self.run("EVALSHA", digest, *words)
        except NoScriptError:
            return await self.run("EVAL", text, *words)


@cache
def _script(name: str) -> tuple[str, str]:
    text = (_LUA / f"{name}.lua").read_text()
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
