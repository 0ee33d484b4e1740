"""What the hub needs of a durable history; redis_stream.py is the one that keeps it in Redis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.feed.entries import Entry, Run
from relay.wire.position import Position


@dataclass(frozen=True, slots=True)
class Appended:
    """How many entries of a run were new, and the position of the newest entry."""

    number: int
    newest: Position | None


class History(Protocol):
    """All methods raise RedisUnavailable."""

    async def append(self, run: Run, *, force: bool) -> Appended:
        """Appends what belongs at the end; `force` appends the first entry in any case, as a break."""

    async def newest(self) -> Position | None:
        """The newest position; None when there is none."""

    async def length(self) -> int:
        """How many entries there are, boundaries included."""

    async def read(self, first: Position, number: int, size_bytes: int) -> Sequence[Entry]:
        """Entries from `first` on, up to a number and about a size, but one if there is one."""

    async def trim(self) -> None:
        """Drops what is older than the history may be."""

    async def rewind(self, number: int) -> tuple[Position | None, int]:
        """The first of the last `number` messages, and how many of them there are."""

    async def since(self, time_ms: int) -> tuple[Position | None, bool]:
        """The first entry not older than `time_ms`, and whether the history reaches back so far."""
