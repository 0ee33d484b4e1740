"""A cache of extracts of a stream, each read and encoded once for all clients that need it together."""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from typing import NamedTuple

from relay.feed.entry_encoder import EntryEncoder
from relay.history.stored_stream import Extract, StoredStream
from relay.stats import Stats
from relay.wire.position import Position

EXTRACT_ENTRIES = 256
EXTRACT_BYTES = 256 * 1024
KEPT_EXTRACTS = 64
TAIL_SECONDS = 0.25
"""How long an extract is kept after which nothing followed. What is added meanwhile comes to the feed."""

KEPT_SECONDS = 2.0
"""How long any other is kept. Only trimming can change it."""

ALIGNED_MS = 1024
"""Clients whose positions are in one such span of time begin with one extract."""


class Encoded(NamedTuple):
    """An extract without the words of its entries, and the event of each with its id."""

    extract: Extract
    events: Sequence[tuple[Position, bytes]]

    @classmethod
    def of(cls, extract: Extract, encoder: EntryEncoder) -> "Encoded":
        events = []
        for identity, words in extract.entries:
            position = Position.of_entry(identity)
            events.append((position, encoder.encode_entry(words, *position)))
        return cls(replace(extract, entries=[(each, ()) for each, _ in extract.entries]), events)

    def after(self, position: Position) -> "Encoded":
        """Returns what follows a position that is not before the extract and not beyond it."""
        number = bisect_right(self.events, position, key=itemgetter(0))
        entries, older = self.extract.entries[number:], self.extract.older or number > 0
        return Encoded(replace(self.extract, entries=entries, older=older), self.events[number:])


class Extracts:
    """Begins at round times, so that clients with near positions share what is read.

    Where that does not reach a client's position, the extract begins at the position itself. From there on
    clients read the same extracts, because each continues where the one before ends.
    """

    def __init__(self, stream: StoredStream, encoder: EntryEncoder, stats: Stats) -> None:
        self._stream = stream
        self._encoder = encoder
        self._stats = stats
        self._reads: dict[Position, asyncio.Task[Encoded]] = {}

    async def after(self, position: Position) -> Encoded:
        """Returns the extract after `position`. Raises RedisUnavailable."""
        ms = position.epoch
        aligned = Position(ms - ms % ALIGNED_MS, 0)
        # A client that leaves must not cancel the read for the others.
        encoded = await asyncio.shield(self._read(aligned))
        extract = encoded.extract
        if (extract.end or extract.last) > position or not extract.more:
            if position > extract.last:  # it may be newer than what was read a moment ago
                return await self._load(position)
            return encoded.after(position)
        return await asyncio.shield(self._read(position))

    def _read(self, position: Position) -> "asyncio.Task[Encoded]":
        read = self._reads.get(position)
        if read is None:
            read = self._reads[position] = asyncio.create_task(self._keep(position))
            read.add_done_callback(_retrieve)
            while len(self._reads) > KEPT_EXTRACTS:
                del self._reads[next(iter(self._reads))]
        return read

    async def _keep(self, position: Position) -> Encoded:
        """Loads an extract that stands in `_reads`, for a while."""
        try:
            encoded = await self._load(position)
        except BaseException:
            self._reads.pop(position, None)
            raise
        seconds = KEPT_SECONDS if encoded.extract.more else TAIL_SECONDS
        asyncio.get_running_loop().call_later(seconds, self._reads.pop, position, None)
        return encoded

    async def _load(self, position: Position) -> Encoded:
        self._stats.pages_read += 1
        extract = await self._stream.read(position, EXTRACT_ENTRIES, EXTRACT_BYTES)
        return Encoded.of(extract, self._encoder)


def _retrieve(read: "asyncio.Task[Encoded]") -> None:
    """Marks an error as retrieved, because every client that waited may have left by now."""
    if not read.cancelled():
        read.exception()
