"""Commands and scripts over connections of their own, beside the one that only listens.

Commands issued in one turn of the event loop share a pipeline. With thousands of channels most of them
do, and a pipelined command costs a fifth.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import (
    AskError,
    ClusterError,
    ConnectionError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    TimeoutError,
    TryAgainError,
)

from relay import tasks
from relay.broker.errors import NotMaster, Redirected, RedisUnavailable, SlotUnsettled

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


class Commands(Protocol):
    """Commands and scripts. All methods raise RedisUnavailable when Redis cannot or will not."""

    async def run(self, *words: Any) -> Any:
        """Runs a command."""

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Runs a script by its digest, and sends the whole only where Redis does not know it."""

    async def aclose(self) -> None:
        """Ends the commands that are under way, and closes the connections."""


class ServerCommands:
    """Commands and scripts at one server."""

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
            await _close(old)

    async def aclose(self) -> None:
        await tasks.end(self._exchanges)
        for client in filter(None, (self._before, self._client)):
            await _close(client)

    async def run(self, *words: Any) -> Any:
        return await self._result(words, self._queue(words))

    async def run_asking(self, *words: Any) -> Any:
        """Runs a command on a key whose slot is on its way to this server."""
        loop = asyncio.get_running_loop()
        calls: list[Call] = [(("ASKING",), loop.create_future()), (words, loop.create_future())]
        self._begin(calls)
        answers = asyncio.gather(*(answer for _, answer in calls))
        return (await self._result(words, answers))[1]

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        return await run_script(self.run, name, keys, arguments)

    async def _result(self, words: Words, answer: Awaitable[Any]) -> Any:
        try:
            return await answer
        except NoScriptError:
            raise
        except Exception as error:
            raise unavailable(error, words[0]) from None

    def _queue(self, words: Words) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        if not self._calls:
            loop.call_soon(self._send)
        answer: asyncio.Future[Any] = loop.create_future()
        self._calls.append((words, answer))
        return answer

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


async def _close(client: Redis) -> None:
    """Closes the pool. redis-py raises where a server is slow to end TLS, and has closed all the same."""
    with contextlib.suppress(RedisError, OSError):
        await client.aclose()


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


async def run_script(
    run: Callable[..., Awaitable[Any]], name: str, keys: Sequence[str], arguments: Sequence[Any]
) -> Any:
    """Runs a script by `run`. Raises what `run` raises."""
    text, digest = script_text(name)
    words = [len(keys), *keys, *arguments]
    try:
        return await run("EVALSHA", digest, *words)
    except NoScriptError:
        return await run("EVAL", text, *words)


def unavailable(error: Exception, command: str) -> RedisUnavailable:
    """Returns what an error of redis-py means to the caller of a command."""
    match error:
        case AskError():
            moved = isinstance(error, MovedError)
            return Redirected(error.host, error.port, asking=not moved)
        case ReadOnlyError():
            return NotMaster(f"Redis refused {command}: {error}", refused=True)
        case ConnectionError() | TimeoutError() | OSError():
            return RedisUnavailable(str(error) or "no answer", refused=False)
        case ClusterError() | RedisClusterException() | TryAgainError():
            return SlotUnsettled(str(error))
        case RedisError():
            return RedisUnavailable(f"Redis refused {command}: {error}", refused=True)
    # On Python 3.12 and 3.13.0 to 3.13.9 a write on a transport that was reset raises TypeError or
    # AttributeError, which redis-py lets through (redis/redis-py#4287).
    reason = f"the connection failed ({type(error).__name__}: {error})"
    return RedisUnavailable(reason, refused=False)


@cache
def script_text(name: str) -> tuple[str, str]:
    """Returns the text of a script and its digest."""
    text = _SCRIPTS[name]
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
