"""What is missing before an extract of a stream, and extracts that clients share."""

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from relay.feed.entry_encoder import EntryEncoder
from relay.feed.stored_timeline import Added
from relay.history import extracts
from relay.history.extracts import Extracts
from relay.history.stored_stream import Extract, StoredStream
from relay.stats import Stats
from relay.wire.position import Position

ENTRY = (b"9-0", [b"data", b"x"])
NONE, XDEL = Position(0, 0), Position(4, 0)
TRIMMED = Extract("stream", Position(9, 0), 1, 20, NONE, older=False, entries=[ENTRY])


@pytest.mark.parametrize(
    ("extract", "position", "added", "missing"),
    [
        (TRIMMED, Position(5, 0), Added(12, NONE), 7),
        (TRIMMED, Position(5, 0), Added(19, NONE), 0),
        (TRIMMED, Position(5, 0), None, None),
        (TRIMMED, Position(0, 0), None, 19),
        (TRIMMED, Position(9, 0).predecessor, None, 0),
        (replace(TRIMMED, older=True), Position(5, 0), None, 0),
        (replace(TRIMMED, added=None), Position(5, 0), Added(12, NONE), None),
        (replace(TRIMMED, deleted=XDEL), Position(5, 0), Added(12, NONE), None),
        (replace(TRIMMED, deleted=XDEL), Position(5, 0), Added(19, NONE), 0),
        (TRIMMED, Position(5, 0), Added(30, NONE), None),
        (Extract("none"), Position(0, 0), None, 0),
    ],
)
def test_how_many_entries_are_missing(
    extract: Extract, position: Position, added: Added | None, missing: int | None
) -> None:
    assert extract.missing(position, added) == missing


class Kept:
    """A stream of a thousand entries, 10 ms apart, that counts how often it is read."""

    def __init__(self) -> None:
        self.ids = [Position(5000 + 10 * n, 0) for n in range(1000)]
        self.reads = 0

    async def read(self, after: Position, number: int, size_bytes: int) -> Extract:
        self.reads += 1
        await asyncio.sleep(0.001)
        found = [p for p in self.ids if p > after][:number]
        entries = [(str(p).encode(), [b"data", b"x"]) for p in found]
        more = bool(found) and found[-1] < self.ids[-1]
        older = any(p <= after for p in self.ids)
        same = after in self.ids
        return Extract("stream", self.ids[-1], 1000, 1000, NONE, older, same, more, entries)


def extracts_of(stream: Kept) -> Extracts:
    stats = Stats()
    return Extracts(cast(StoredStream, stream), EntryEncoder("kept", 1000, stats), stats)


async def test_clients_with_near_positions_share_what_is_read() -> None:
    stream = Kept()
    cache = extracts_of(stream)
    some = [Position(6144 + n, 3) for n in range(900)]
    found = await asyncio.gather(*(cache.after(position) for position in some))
    assert stream.reads == 1
    for position, (extract, events) in zip(some, found, strict=True):
        assert extract.first == min(p for p in stream.ids if p > position)
        assert extract.older
        assert events[0] == (extract.first, b"data: x\n\n")


async def test_each_extract_continues_where_the_one_before_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extracts, "EXTRACT_ENTRIES", 7)
    stream = Kept()
    cache = extracts_of(stream)
    position, found = Position(5555, 0), []
    while events := (await cache.after(position)).events:
        found += [each for each, _ in events]
        position = found[-1]
    assert found == [p for p in stream.ids if p > (5555, 0)]


async def test_an_id_that_is_newer_than_what_was_read_is_asked_for_again() -> None:
    stream = Kept()
    cache = extracts_of(stream)
    newest = stream.ids[-1]
    assert (await cache.after(newest)).extract.last == newest
    stream.ids.append(Position(newest.epoch, 1))
    again = await cache.after(Position(newest.epoch, 1))
    assert again.extract.last == (newest.epoch, 1)
