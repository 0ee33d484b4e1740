"""Commands and scripts over connections of their own, beside the one that only listens.

Commands issued in one turn of the event loop share a pipeline. With thousands of channels most of them
do, and a pipelined command costs a fifth.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import redis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError, NoScriptError, RedisError, TimeoutError

from relay import tasks
from relay.broker.address import RedisAddress
from relay.broker.errors import RedisUnavailable

_SCRIPTS = {
    path.stem: path.read_text() for path in Path(__file__).with_name("scripts").glob("*.lua")
}
"""Read at the start: later there may be no descriptor left for it."""

TOGETHER = 64
"""The most commands in one pipeline, so that no answer waits for too many others."""

LONG_WORDS = 64
"""A command of more words goes alone: it is work enough for one exchange."""

Words = tuple[Any, ...]
Call = tuple[Words, "asyncio.Future[Any]"]


class Commands:
    """All methods raise RedisUnavailable when Redis cannot or will not."""

    def __init__(self, connect: Callable[[], Redis]) -> None:
        self._connect = connect
        self._client = connect()
        self._before: Redis | None = None
        self._calls: list[Call] = []
        self._exchanges: set[asyncio.Task[None]] = set()

    async def renew(self) -> None:
        """Opens a fresh pool, because the current one may lead to a replaced server.

        Running commands keep the old pool until the next renewal.
        """
        old, self._before, self._client = self._before, self._client, self._connect()
        if old:
            await old.aclose()

    async def aclose(self) -> None:
        await tasks.end(self._exchanges)
        for client in filter(None, (self._before, self._client)):
            await client.aclose()

    async def run(self, *words: Any) -> Any:
        loop = asyncio.get_running_loop()
        if not self._calls:
            loop.call_soon(self._send)
        answer: asyncio.Future[Any] = loop.create_future()
        self._calls.append((words, answer))
        try:
            return await answer
        except NoScriptError:
            raise
        except (ConnectionError, TimeoutError, OSError) as error:
            raise RedisUnavailable(str(error) or "no answer", refused=False) from None
        except RedisError as error:
            raise RedisUnavailable(f"Redis refused {words[0]}: {error}", refused=True) from None
        except Exception as error:
            # On Python 3.12 and 3.13.0 to 3.13.9 a write on a transport that was reset raises TypeError or
            # AttributeError, which redis-py lets through (redis/redis-py#4287).
            reason = f"the connection failed ({type(error).__name__}: {error})"
            raise RedisUnavailable(reason, refused=False) from None

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Runs a script by its digest, and sends the whole only where Redis does not know it."""
        text, digest = _script(name)
        words = [len(keys), *keys, *arguments]
        try:
            return await self.run("EVALSHA", digest, *words)
        except NoScriptError:
            return await self.run("EVAL", text, *words)

    def _send(self) -> None:
        calls = [call for call in self._calls if not call[1].done()]  # the others were cancelled
        self._calls = []
        long = [call for call in calls if len(call[0]) > LONG_WORDS]
        short = [call for call in calls if len(call[0]) <= LONG_WORDS]
        for first in range(0, len(short), TOGETHER):
            self._begin(short[first : first + TOGETHER])
        for call in long:
            self._begin([call])

    def _begin(self, calls: Sequence[Call]) -> None:
        exchange = asyncio.create_task(self._exchange(self._client, calls))
        self._exchanges.add(exchange)
        exchange.add_done_callback(self._exchanges.discard)

    async def _exchange(self, client: Redis, calls: Sequence[Call]) -> None:
        """Resolves every call, whatever happens."""
        answers: Sequence[Any] = [ConnectionError("closed")] * len(calls)
        try:
            answers = await _answers(client, [words for words, _ in calls])
        except Exception as error:
            answers = [error] * len(calls)
        finally:
            for (_, future), answer in zip(calls, answers, strict=True):
                _resolve(future, answer)


async def _answers(client: Redis, commands: Sequence[Words]) -> Sequence[Any]:
    """Returns the answer to each command, which may be an error. Raises when the connection fails."""
    if len(commands) == 1:
        return [await client.execute_command(*commands[0])]
    pipeline = client.pipeline(transaction=False)
    for words in commands:
        pipeline.execute_command(*words)
    return await pipeline.execute(raise_on_error=False)


def _resolve(future: "asyncio.Future[Any]", answer: Any) -> None:
    if future.done():
        return  # the caller was cancelled
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def run_script(
    address: RedisAddress, name: str, keys: Sequence[str], arguments: Sequence[Any]
) -> Any:
    """Runs a script for code without an event loop, on a connection of its own.

    Raises RedisUnavailable.
    """
    try:
        with address.sync_client() as client:
            text, digest = _script(name)
            try:
                return client.evalsha(digest, len(keys), *keys, *arguments)
            except NoScriptError:
                return client.eval(text, len(keys), *keys, *arguments)
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        raise RedisUnavailable(str(error) or "no answer", refused=False) from None
    except redis.RedisError as error:
        raise RedisUnavailable(f"Redis refused EVALSHA: {error}", refused=True) from None


@cache
def _script(name: str) -> tuple[str, str]:
    text = _SCRIPTS[name]
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
