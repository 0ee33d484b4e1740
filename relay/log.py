"""The durable history of a channel: a Redis Stream whose entry ids are the positions themselves.

Every process may append. What makes that safe is that the scripts compare before they append
(relay/lua/append.lua), so there is no leader to elect and none to lose.
"""

import hashlib
from collections.abc import Sequence
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

    def __init__(self, client: Redis, keys: Keys, size: int, seconds: float) -> None:
        self._client = client
        self._keys = keys
        self._size = size
        self._keep_ms = round(seconds * 1000)
        self._epoch = _Script(client, "epoch")
        self._append = _Script(client, "append")
        self._trim = _Script(client, "trim")
        self._rewind = _Script(client, "rewind")
        self._since = _Script(client, "since")
        self._read = _Script(client, "read")

    async def open_epoch(self, known: int) -> int:
        keys = [self._keys.counter, self._keys.log]
        _, heard, _ = await self._epoch(keys, [self._keys.marker, known])
        return int(heard)

    async def append(self, run: Run, *, force: bool) -> Appended:
        previous = str(run.previous) if run.previous else ""
        arguments: list[Any] = [run.first.epoch, run.first.offset, previous, int(force)]
        arguments += [self._size, self._keep_ms]
        for entry in run.entries:
            arguments += entry
        number, newest = await self._append([self._keys.log], arguments)
        return Appended(int(number), Position.parse(newest.decode()))

    async def newest(self) -> Position | None:
        entries = await _run(self._client, "XREVRANGE", self._keys.log, "+", "-", "COUNT", 1)
        return _position(entries[0][0]) if entries else None

    async def length(self) -> int:
        return int(await _run(self._client, "XLEN", self._keys.log))

    async def read(self, first: Position, number: int, size_bytes: int) -> list[Entry]:
        found = await self._read([self._keys.log], [str(first), number, size_bytes])
        return [_entry(identity, fields) for identity, fields in found]

    async def trim(self) -> None:
        while int(await self._trim([self._keys.log], [self._keep_ms])) >= 1000:
            pass

    async def rewind(self, number: int) -> tuple[Position | None, int]:
        first, found = await self._rewind([self._keys.log], [number])
        return Position.parse(first.decode()), int(found)

    async def since(self, time_ms: int) -> tuple[Position | None, bool]:
        first, reaches = await self._since([self._keys.log], [time_ms])
        return Position.parse(first.decode()), reaches == b"1"


class _Script:
    """Runs by its digest, and is sent whole only where Redis does not know it (EVALSHA, EVAL)."""

    def __init__(self, client: Redis, name: str) -> None:
        self._client = client
        self._text = (_LUA / f"{name}.lua").read_text()
        self._digest = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        words = [len(keys), *keys, *arguments]
        try:
            return await _run(self._client, "EVALSHA", self._digest, *words)
        except NoScriptError:
            return await _run(self._client, "EVAL", self._text, *words)


async def _run(client: Redis, *words: Any) -> Any:
    try:
        return await client.execute_command(*words)
    except NoScriptError:
        raise
    except (ConnectionError, TimeoutError, OSError) as error:
        raise HistoryUnavailable(str(error) or "no answer", refused=False) from None
    except RedisError as error:
        raise HistoryUnavailable(f"Redis refused {words[0]}: {error}", refused=True) from None


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
