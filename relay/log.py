"""The durable history of a channel: a Redis Stream whose entry ids are the positions themselves.

Every process may append. What makes that safe is that the scripts compare before they append
(relay/lua/append.lua), so there is no leader to elect and none to lose.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError, NoScriptError, RedisError, TimeoutError

from relay.chain import Entry, Run
from relay.history import Appended, HistoryUnavailable
from relay.keys import Keys
from relay.position import Position

_LUA = Path(__file__).with_name("lua")


class Log:
    """A History in a Redis Stream, bounded by number and age."""

    def __init__(self, connect: Callable[[], Redis], keys: Keys, size: int, seconds: float) -> None:
        self._connect = connect
        self._client = connect()
        self._keys = keys
        self._size = size
        self._keep_ms = round(seconds * 1000)

    async def open_epoch(self, known: int) -> int:
        # Old connections may lead to a server that was replaced; the marker has to go where the
        # subscription is, which was made a moment ago.
        before, self._client = self._client, self._connect()
        await before.aclose()
        keys = [self._keys.counter, self._keys.log]
        _, heard, _ = await self._script("epoch", keys, [self._keys.marker, known])
        return int(heard)

    async def append(self, run: Run, *, force: bool) -> Appended:
        previous = str(run.previous) if run.previous else ""
        arguments: list[Any] = [run.first.epoch, run.first.offset, previous, int(force)]
        arguments += [self._size, self._keep_ms]
        for entry in run.entries:
            arguments += entry
        number, newest = await self._script("append", [self._keys.log], arguments)
        return Appended(int(number), Position.parse(newest.decode()))

    async def newest(self) -> Position | None:
        entries = await self._run("XREVRANGE", self._keys.log, "+", "-", "COUNT", 1)
        return _position(entries[0][0]) if entries else None

    async def length(self) -> int:
        return int(await self._run("XLEN", self._keys.log))

    async def read(self, first: Position, number: int, size_bytes: int) -> list[Entry]:
        arguments = [str(first), number, size_bytes]
        found = await self._script("read", [self._keys.log], arguments)
        return [_entry(identity, words) for identity, words in found]

    async def trim(self) -> None:
        while int(await self._script("trim", [self._keys.log], [self._keep_ms])) >= 1000:
            pass

    async def rewind(self, number: int) -> tuple[Position | None, int]:
        first, found = await self._script("rewind", [self._keys.log], [number])
        return Position.parse(first.decode()), int(found)

    async def since(self, time_ms: int) -> tuple[Position | None, bool]:
        first, reaches = await self._script("since", [self._keys.log], [time_ms])
        return Position.parse(first.decode()), reaches == b"1"

    async def aclose(self) -> None:
        """Closes the connections; the log is not used after that."""
        await self._client.aclose()

    async def _script(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Runs by its digest, and sends the whole only where Redis does not know it."""
        text, digest = _script_of(name)
        words = [len(keys), *keys, *arguments]
        try:
            return await self._run("EVALSHA", digest, *words)
        except NoScriptError:
            return await self._run("EVAL", text, *words)

    async def _run(self, *words: Any) -> Any:
        try:
            return await self._client.execute_command(*words)
        except NoScriptError:
            raise
        except (ConnectionError, TimeoutError, OSError) as error:
            raise HistoryUnavailable(str(error) or "no answer", refused=False) from None
        except RedisError as error:
            raise HistoryUnavailable(f"Redis refused {words[0]}: {error}", refused=True) from None


@cache
def _script_of(name: str) -> tuple[str, str]:
    text = (_LUA / f"{name}.lua").read_text()
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _position(identity: bytes) -> Position:
    epoch, offset = identity.split(b"-")
    return Position(int(epoch), int(offset))


def _entry(identity: bytes, words: Sequence[bytes]) -> Entry:
    fields = dict(zip(words[::2], words[1::2], strict=True))
    previous = fields.get(b"p")
    return Entry(
        _position(identity),
        fields.get(b"e"),
        _position(previous) if previous else None,
        int(fields[b"t"]),
    )
