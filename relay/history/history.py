"""The interface of a durable history. redis_stream.py implements it in Redis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.feed.entries import Entry, Run
from relay.wire.position import Position


@dataclass(frozen=True, slots=True)
class Appended:
    """The number of new entries in a run, and the position of the newest entry in the history."""

    number: int
    newest: Position | None


@dataclass(frozen=True, slots=True)
class Page:
    """Entries before a position, oldest first; the first one begins with a message, if there is any.

    `follower` is the first entry from that position on, None where none is kept or none was asked for.
    `more` says whether older messages are kept.
    """

    entries: Sequence[Entry]
    follower: Entry | None
    more: bool


class History(Protocol):
    """All methods raise RedisUnavailable."""

    async def append(self, run: Run, *, force: bool) -> Appended:
        """Appends the entries that follow the newest one; `force` appends the first new one as a break."""

    async def newest(self) -> Position | None:
        """Returns the newest position; None for an empty history."""

    async def length(self) -> int:
        """Returns the number of entries, boundaries included."""

    async def read(self, first: Position, number: int, size_bytes: int) -> Sequence[Entry]:
        """Returns entries from `first` on, up to a number and about a size, but at least one."""

    async def trim(self) -> None:
        """Removes entries over the age limit."""

    async def rewind(self, number: int) -> tuple[Position | None, int]:
        """Returns the position of the first of the last `number` messages, and how many there are.

        Messages that are missing within an epoch count.
        """

    async def since(self, time_ms: int) -> tuple[Position | None, bool]:
        """Returns the position of the first entry not older than `time_ms`, if there is one.

        Also returns whether the history reaches back to that time.
        """
