"""A cache of extracts of a stream, each read once for all clients that need it at the same time."""

import asyncio
from bisect import bisect_right
from dataclasses import replace

from relay.feed.stored_feed import RawEntry
from relay.history.stored_stream import Extract, StoredStream
from relay.stats import Stats
from relay.wire.position import Position

EXTRACT_ENTRIES = 256
EXTRACT_BYTES = 256 * 1024
KEPT_EXTRACTS = 64
TAIL_SECONDS = 0.05
"""How long an extract is kept after which nothing followed."""

KEPT_SECONDS = 2.0
"""How long any other is kept. Only trimming can change it."""

ALIGNED_MS = 1024
"""Clients whose positions are in one such span of time begin with one extract."""


class Extracts:
    """Begins at round times, so that clients with near positions share what is read.

    Where that does not reach a client's position, the extract begins at the position itself. From there on
    clients read the same extracts, because each continues where the one before ends.
    """

    def __init__(self, stream: StoredStream, stats: Stats) -> None:
        self._stream = stream
        self._stats = stats
        self._reads: dict[Position, asyncio.Task[Extract]] = {}

    async def after(self, position: Position) -> Extract:
        """Returns the extract after `position`. Raises RedisUnavailable."""
        ms = position.epoch
        aligned = Position(ms - ms % ALIGNED_MS, 0)
        # A client that leaves must not cancel the read for the others.
        extract = await asyncio.shield(self._read(aligned))
        if (extract.end or extract.last) > position or not extract.more:
            if position > extract.last:  # it may be newer than what was read a moment ago
                return await self._stream.read(position, EXTRACT_ENTRIES, EXTRACT_BYTES)
            return _cut(extract, position)
        return await asyncio.shield(self._read(position))

    def _read(self, position: Position) -> "asyncio.Task[Extract]":
        read = self._reads.get(position)
        if read is None:
            read = self._reads[position] = asyncio.create_task(self._load(position))
            read.add_done_callback(_retrieve)
            while len(self._reads) > KEPT_EXTRACTS:
                del self._reads[next(iter(self._reads))]
        return read

    async def _load(self, position: Position) -> Extract:
        self._stats.pages_read += 1
        try:
            extract = await self._stream.read(position, EXTRACT_ENTRIES, EXTRACT_BYTES)
        except BaseException:
            self._reads.pop(position, None)
            raise
        seconds = KEPT_SECONDS if extract.more else TAIL_SECONDS
        asyncio.get_running_loop().call_later(seconds, self._reads.pop, position, None)
        return extract


def _cut(extract: Extract, position: Position) -> Extract:
    """Returns what follows `position`, which is not before the extract and not beyond it."""
    entries = extract.entries
    number = bisect_right(entries, position, key=_position)
    return replace(extract, entries=entries[number:], older=extract.older or number > 0)


def _position(entry: RawEntry) -> Position:
    return Position.of_entry(entry[0])


def _retrieve(read: "asyncio.Task[Extract]") -> None:
    """Marks an error as retrieved, because every client that waited may have left by now."""
    if not read.cancelled():
        read.exception()
