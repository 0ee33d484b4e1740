"""A Redis Stream that is a channel: its past, and what says whether something is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relay.broker.commands import Commands
from relay.feed.stored_feed import RawEntry
from relay.feed.stored_timeline import Added
from relay.wire.position import MAX_PART, Position

START = Position(0, 0)
"""Before the first entry that a stream can have."""

GREATEST = Position(MAX_PART, MAX_PART - 1)
"""After a greater one Redis refuses to read."""

WALK_ENTRIES = 2000
WALK_BYTES = 1024 * 1024
"""How far one script walks back, so that none keeps Redis busy for long."""


@dataclass(frozen=True, slots=True)
class Extract:
    """Entries after a position, and the state of their stream at that moment."""

    kind: str
    """The type of the key: `stream`, `none`, or another one, of which the rest is empty."""
    last: Position = START
    """The greatest id that the stream ever gave."""
    length: int = 0
    added: int | None = None
    """How many entries it ever had; None before Redis 7.0."""
    deleted: Position | None = None
    """The greatest id that XDEL removed."""
    older: bool = False
    """Whether it has an entry at or before the position. If so, nothing after the position was trimmed."""
    same: bool = False
    """Whether it has an entry at the position itself."""
    more: bool = False
    """Whether more entries may follow."""
    entries: Sequence[RawEntry] = ()

    @classmethod
    def of(cls, answer: Sequence[Any]) -> "Extract":
        """Reads an answer of the script `stream_read`."""
        kind, *rest = answer
        if not rest:
            return cls(kind.decode())
        last, length, added, deleted, older, more, entries = rest
        return cls(
            kind.decode(),
            Position.of_entry(last),
            int(length),
            int(added) if added else None,
            Position.of_entry(deleted) if deleted else None,
            bool(older),
            older == 2,
            bool(more),
            entries,
        )

    @property
    def first(self) -> Position | None:
        """The id of the first of the entries."""
        return Position.of_entry(self.entries[0][0]) if self.entries else None

    @property
    def end(self) -> Position | None:
        """The id of the last of the entries."""
        return Position.of_entry(self.entries[-1][0]) if self.entries else None

    def missing(self, position: Position, added: Added | None) -> int | None:
        """Returns how many entries after `position` are there no more; None if unknown.

        `position` is that of the extract. `added` is how many entries there ever were up to it, if known.
        What XDEL has removed from the middle is not missing.
        """
        if (
            self.kind == "none"
            or self.older
            or (self.first is not None and self.first.predecessor == position)
        ):
            return 0
        if self.added is None:
            return None
        if position == START:
            return self.added - self.length
        if added is None:
            return None
        removed = self.added - added.number - self.length
        certain = added.deleted == self.deleted
        return removed if removed == 0 or (removed > 0 and certain) else None


class StoredStream:
    """Reads the stream under one key. All methods raise RedisUnavailable."""

    def __init__(self, commands: Commands, key: str) -> None:
        self._commands = commands
        self._key = key

    async def read(self, after: Position, number: int, size_bytes: int) -> Extract:
        """Returns entries after a position, up to a number and about a size, but at least one."""
        arguments = [str(min(after, GREATEST)), number, size_bytes]
        return Extract.of(await self._commands.script("stream_read", [self._key], arguments))

    async def length(self) -> int:
        """Returns the number of entries."""
        return int(await self._commands.run("XLEN", self._key))

    async def page(
        self, before: Position | None, number: int, size_bytes: int
    ) -> tuple[Sequence[RawEntry], bool]:
        """Returns the newest entries before a position, oldest first, and whether there are older ones.

        Up to a number and a size, but at least one. Without a position: the newest of all. A key of
        another type has none.
        """
        arguments = [str(before) if before else "", number, size_bytes]
        found, older = await self._commands.script("stream_page", [self._key], arguments)
        return found[::-1], bool(older)

    async def rewind(self, number: int) -> Position | None:
        """Returns the position before the last `number` entries, or as many as there are.

        None for a stream without entries. Other commands are executed in between.
        """
        start, first = "+", None
        while number > 0:
            step = min(number, WALK_ENTRIES)
            arguments = [start, step, WALK_BYTES]
            walked, last = await self._commands.script("stream_rewind", [self._key], arguments)
            if not walked:
                break
            first, start = Position.of_entry(last), f"({last.decode()}"
            number -= int(walked)
        return first.predecessor if first else None
