"""The journal: when it writes, and when it looks, with a pace at which only haste can end a wait."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from relay import tasks
from relay.feed.entries import Entry, Run
from relay.feed.feed import Feed
from relay.feed.ring import Ring
from relay.history import journal
from relay.history.history import Appended
from relay.history.journal import RUN_ENTRIES, Journal, Pace
from relay.history.outage import history_outage
from relay.stats import Stats
from relay.wire.position import Position

NEVER = 3600.0
RING_ENTRIES = 10_000
RING_BYTES = 100_000


class Shelf:
    """A history that takes everything, and says what was asked of it.

    `newest_entry` is what another process has written.
    """

    def __init__(self) -> None:
        self.newest_entry: Position | None = None
        self.entries = 0
        self.looks = 0

    async def append(self, run: Run, *, force: bool) -> Appended:
        self.entries += len(run.entries)
        return Appended(len(run.entries), run.last)

    async def newest(self) -> Position | None:
        self.looks += 1
        return self.newest_entry

    async def length(self) -> int:
        return self.entries

    async def read(self, first: Position, number: int, size_bytes: int) -> Sequence[Entry]:
        return []

    async def trim(self) -> None: ...

    async def rewind(self, number: int) -> tuple[Position | None, int]:
        return None, 0

    async def since(self, time_ms: int) -> tuple[Position | None, bool]:
        return None, False


class Desk:
    """A journal that waits, its first entries written or seen to be missing."""

    def __init__(self) -> None:
        self.feed = Feed("demo_stream", Ring(RING_ENTRIES, RING_BYTES), RING_BYTES, Stats())
        self.shelf = Shelf()
        self.journal = Journal(self.feed, self.shelf, 3600, lambda: True, history_outage())

    def hear(self, number: int, payload: bytes = b"x") -> None:
        for _ in range(number):
            self.feed.receive(payload, 0)
            self.journal.wake()

    async def settle(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)


@asynccontextmanager
async def desk(monkeypatch: pytest.MonkeyPatch, *, writes: bool) -> AsyncIterator[Desk]:
    """The boundary is written already, or has been looked for; what comes then has to wait."""
    monkeypatch.setattr(journal, "HASTY", Pace(0.0, (0.0, 0.0)))
    monkeypatch.setattr(journal, "HASTE_SECONDS", 0.0)
    monkeypatch.setattr(journal, "STEADY", Pace(0.0, (0.0, 0.0)))
    here = Desk()
    if writes:
        here.journal.begin()
    task = asyncio.create_task(here.journal.run())
    try:
        await here.settle()
        here.feed.mark(1000, 0)
        here.shelf.newest_entry = here.feed.position
        here.journal.wake()
        while not (here.shelf.entries or here.shelf.looks):
            await asyncio.sleep(0)
        monkeypatch.setattr(journal, "STEADY", Pace(NEVER, (NEVER, NEVER)))
        here.shelf.looks = here.shelf.entries = 0
        yield here
    finally:
        await tasks.end([task])


async def test_a_writer_waits_for_company(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch, writes=True) as here:
        here.hear(RUN_ENTRIES - 1)
        await here.settle()
        assert (here.shelf.entries, here.journal.behind) == (0, True)


@pytest.mark.parametrize(
    ("number", "payload"), [(RUN_ENTRIES, b"x"), (6, b"x" * (RING_BYTES // 10))]
)
async def test_a_writer_does_not_wait_when_a_run_waits_or_half_of_the_ring(
    monkeypatch: pytest.MonkeyPatch, number: int, payload: bytes
) -> None:
    async with desk(monkeypatch, writes=True) as here:
        here.hear(1)
        await here.settle()
        here.hear(number, payload)
        await here.settle()
        assert (here.shelf.entries, here.journal.behind) == (1 + number, False)
        here.hear(number - 1, payload)
        await here.settle()
        assert here.shelf.entries == 1 + number


async def test_who_watches_looks_at_once_too_and_takes_over_before_the_ring_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with desk(monkeypatch, writes=False) as here:
        here.hear(1)
        await here.settle()
        here.hear(RUN_ENTRIES - 1)
        await here.settle()
        assert (here.shelf.looks, here.journal.writing) == (0, False)
        here.hear(1)
        await here.settle()
        assert (here.shelf.looks, here.journal.writing) == (1, False)
        here.hear(RUN_ENTRIES)
        await here.settle()  # what it had heard at the look before is still missing
        assert (here.shelf.looks, here.journal.writing) == (2, True)
        assert here.shelf.entries == 1 + 2 * RUN_ENTRIES
