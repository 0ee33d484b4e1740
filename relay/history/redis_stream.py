"""The durable history of a channel: a Redis Stream whose entry ids are the positions.

Every process may append. That is safe because the script compares before it appends
(relay/broker/scripts/history_append.lua). So there is no leader to elect or to lose.
"""

from collections.abc import Sequence
from typing import Any

from relay.broker.commands import Commands
from relay.broker.keys import Keys
from relay.feed.entries import Entry, Run
from relay.history.history import Appended, Page
from relay.stats import Stats
from relay.wire import sse
from relay.wire.position import Position


class RedisStream:
    """A History in a Redis Stream, bounded by number and age."""

    def __init__(
        self,
        commands: Commands,
        keys: Keys,
        size: int,
        seconds: float,
        stats: Stats | None = None,
    ) -> None:
        self._commands = commands
        self._keys = keys
        self._size = size
        self._keep_ms = round(seconds * 1000)
        self._stats = stats or Stats()

    async def append(self, run: Run, *, force: bool) -> Appended:
        previous = str(run.previous) if run.previous else ""
        arguments: list[Any] = [run.first.epoch, run.first.offset, previous, int(force)]
        arguments += [self._size, self._keep_ms]
        for entry in run.entries:
            arguments += entry
        number, newest = await self._commands.script(
            "history_append", [self._keys.history], arguments
        )
        self._stats.history_written += int(number)
        return Appended(int(number), Position.parse(newest.decode()))

    async def newest(self) -> Position | None:
        entries = await self._commands.run("XREVRANGE", self._keys.history, "+", "-", "COUNT", 1)
        return Position.of_entry(entries[0][0]) if entries else None

    async def length(self) -> int:
        return int(await self._commands.run("XLEN", self._keys.history))

    async def read(self, first: Position, number: int, size_bytes: int) -> list[Entry]:
        arguments = [str(first), number, size_bytes]
        found = await self._commands.script("history_read", [self._keys.history], arguments)
        return [_entry(identity, words) for identity, words in found]

    async def page(self, before: Position | None, number: int, size_bytes: int) -> Page:
        """Returns the newest messages before a position, up to a number and about a size, but at least one.

        Without a position: the newest that are kept. Raises RedisUnavailable.
        """
        arguments = [str(before) if before else "", number, size_bytes]
        found, follower, older = await self._commands.script(
            "history_page", [self._keys.history], arguments
        )
        entries = [_entry(identity, words) for identity, words in reversed(found)]
        return Page(entries, _entry(*follower) if follower else None, older == b"1")

    async def trim(self) -> None:
        while (
            int(await self._commands.script("history_trim", [self._keys.history], [self._keep_ms]))
            >= 1000
        ):
            pass

    async def rewind(self, number: int) -> tuple[Position | None, int]:
        first, found = await self._commands.script("history_rewind", [self._keys.history], [number])
        return Position.parse(first.decode()), int(found)

    async def since(self, time_ms: int) -> tuple[Position | None, bool]:
        first, reaches = await self._commands.script(
            "history_since", [self._keys.history], [time_ms]
        )
        return Position.parse(first.decode()), reaches == b"1"


def _entry(identity: bytes, words: Sequence[bytes]) -> Entry:
    fields = dict(zip(words[::2], words[1::2], strict=True))
    event, previous = fields.get(b"e"), fields.get(b"p")
    source, event = sse.split_source(event) if event is not None else (b"", None)
    at, before = Position.of_entry(identity), Position.of_entry(previous) if previous else None
    return Entry(at, event, before, int(fields[b"t"]), source)
