"""The journal: when it writes and when it looks. The pace is so slow that only a signal ends a wait."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from relay import tasks
from relay.broker.errors import RedisUnavailable
from relay.broker.link import Link
from relay.feed.entries import Entry, Run
from relay.feed.feed import Feed
from relay.feed.ring import Ring
from relay.feed.runs import run_after
from relay.history import journal, pacer
from relay.history.history import Appended
from relay.history.journal import RUN_ENTRIES, Journal
from relay.history.outage import history_outage
from relay.history.pacer import Pace, Pacer
from relay.wire.position import Position
from tests.support.core import make_feed

NEVER = 3600.0
RING_ENTRIES = 10_000
RING_BYTES = 100_000


class Shelf:
    """A history that takes everything, and records the calls.

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
        self.feed = make_feed(Ring(RING_ENTRIES, RING_BYTES))
        self.shelf = Shelf()
        self.journal = Journal(self.feed.timeline, self.shelf, 3600, Link(), history_outage())

    def receive(self, number: int, payload: bytes = b"x") -> None:
        for _ in range(number):
            self.feed.receive(payload, 0)
            self.journal.wake()

    async def settle(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)


@asynccontextmanager
async def desk(monkeypatch: pytest.MonkeyPatch, *, writes: bool) -> AsyncIterator[Desk]:
    """The boundary is written already, or has been looked for; what comes then has to wait."""
    monkeypatch.setattr(pacer, "QUICK", Pace(0.0, (0.0, 0.0)))
    monkeypatch.setattr(pacer, "QUICK_SECONDS", 0.0)
    monkeypatch.setattr(pacer, "STEADY", Pace(0.0, (0.0, 0.0)))
    here = Desk()
    if writes:
        here.journal.begin()
    task = asyncio.create_task(here.journal.run())
    try:
        await here.settle()
        here.feed.mark(1000, 0)
        here.shelf.newest_entry = here.feed.timeline.position
        here.journal.wake()
        while not (here.shelf.entries or here.shelf.looks):
            await asyncio.sleep(0)
        monkeypatch.setattr(pacer, "STEADY", Pace(NEVER, (NEVER, NEVER)))
        here.shelf.looks = here.shelf.entries = 0
        yield here
    finally:
        await tasks.end([task])


async def test_a_writer_waits_for_company(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(monkeypatch, writes=True) as here:
        here.receive(RUN_ENTRIES - 1)
        await here.settle()
        assert (here.shelf.entries, here.journal.behind) == (0, True)


@pytest.mark.parametrize(
    ("number", "payload"), [(RUN_ENTRIES, b"x"), (6, b"x" * (RING_BYTES // 10))]
)
async def test_a_writer_does_not_wait_when_a_run_waits_or_half_of_the_ring(
    monkeypatch: pytest.MonkeyPatch, number: int, payload: bytes
) -> None:
    async with desk(monkeypatch, writes=True) as here:
        here.receive(1)
        await here.settle()
        here.receive(number, payload)
        await here.settle()
        assert (here.shelf.entries, here.journal.behind) == (1 + number, False)
        here.receive(number - 1, payload)
        await here.settle()
        assert here.shelf.entries == 1 + number


async def test_a_watcher_looks_early_too_and_takes_over_before_the_ring_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with desk(monkeypatch, writes=False) as here:
        here.receive(1)
        await here.settle()
        here.receive(RUN_ENTRIES - 1)
        await here.settle()
        assert (here.shelf.looks, here.journal.writing) == (0, False)
        here.receive(1)
        await here.settle()
        assert (here.shelf.looks, here.journal.writing) == (1, False)
        here.receive(RUN_ENTRIES)
        await here.settle()  # what it had heard at the look before is still missing
        assert (here.shelf.looks, here.journal.writing) == (2, True)
        assert here.shelf.entries == 1 + 2 * RUN_ENTRIES


async def test_a_flush_ends_with_messages_received_before_it_although_more_arrive() -> None:
    """A process that stops under load must not use up its time for messages of the future."""
    here = Desk()
    here.feed.mark(1000, 0)
    here.receive(3)
    append = here.shelf.append

    async def busy(run: Run, *, force: bool) -> Appended:
        here.receive(RUN_ENTRIES)
        return await append(run, force=force)

    here.shelf.append = busy  # type: ignore[method-assign]
    await here.journal.flush()
    assert here.shelf.entries == 4  # the boundary and the three
    assert here.journal.behind


async def test_a_stuck_writer_does_not_report_that_it_writes_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Redis refused; then the run no longer follows, so that nothing is stored and nothing refused."""
    caplog.set_level("INFO")
    async with desk(monkeypatch, writes=True) as here:
        monkeypatch.setattr(journal, "RETRY_SECONDS", 0.0)

        async def refuse(run: Run, *, force: bool) -> Appended:
            raise RedisUnavailable("OOM", refused=True)

        async def pass_over(run: Run, *, force: bool) -> Appended:
            return Appended(0, Position(999, 7))

        real, here.shelf.append = here.shelf.append, refuse  # type: ignore[method-assign]
        monkeypatch.setattr(pacer, "STEADY", Pace(0.0, (0.0, 0.0)))
        here.receive(1)
        await here.settle()
        here.shelf.append = pass_over  # type: ignore[method-assign]
        await here.settle()
        assert here.journal.failing
        here.shelf.append = real  # type: ignore[method-assign]
        monkeypatch.setattr(journal, "STUCK_SECONDS", 0.0)
        while here.journal.behind or here.journal.failing:
            await asyncio.sleep(0.01)
    said = [record.getMessage().partition(":")[0] for record in caplog.records]
    assert said == ["The history cannot be written", "The history is written again."]


# -- when


async def test_a_watcher_of_a_busy_channel_sees_that_another_process_writes_again() -> None:
    here = Desk()
    here.feed.mark(1, 0)
    here.receive(3)
    here.shelf.newest_entry = Position(1, 3)
    await here.journal.step(0.0)
    here.journal._failed(RedisUnavailable("no", refused=True))
    await here.journal.step(0.0)
    assert here.journal.failing, "nobody has written since"
    here.receive(9)
    here.shelf.newest_entry = Position(1, 9)
    await here.journal.step(0.0)
    assert here.journal.behind
    assert not here.journal.failing


def paced(*, keep_seconds: float = 3600) -> tuple[Feed, Pacer]:
    feed = make_feed(Ring(RING_ENTRIES, RING_BYTES))
    return feed, Pacer(feed.timeline, keep_seconds, RUN_ENTRIES)


async def test_a_trim_is_due_some_time_after_something_was_written_and_once() -> None:
    _, one = paced(keep_seconds=10_000)
    assert not one.is_trim_due(1e9)
    one.wrote(0)
    one.wrote(90)  # the first one counts
    assert not one.is_trim_due(49.9)  # half of a hundredth of the age
    assert one.is_trim_due(150.1)
    assert not one.is_trim_due(1e9)


async def test_a_wait_for_news_ends_when_it_is_time_to_trim(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pacer, "TRIM_SECONDS", 0.01)
    _, one = paced(keep_seconds=0)
    one.wrote(asyncio.get_running_loop().time())
    assert not await asyncio.wait_for(one.until_news(), 5)


async def test_a_wait_for_news_ends_with_news_and_not_with_old_ones() -> None:
    feed, one = paced()
    feed.mark(1000, 0)
    one.wake()
    waiting = asyncio.create_task(one.until_news())
    await asyncio.sleep(0)
    assert not waiting.done()
    one.signal()
    assert await asyncio.wait_for(waiting, 5)


async def test_a_marker_cuts_a_wait_short_and_the_next_ones_are_quick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pacer, "STEADY", Pace(NEVER, (NEVER, NEVER)))
    monkeypatch.setattr(pacer, "QUICK", Pace(0.0, (0.0, 0.0)))
    feed, one = paced()
    waiting = asyncio.create_task(one.linger())
    await asyncio.sleep(0)
    feed.mark(1000, 0)
    one.wake()
    await asyncio.wait_for(waiting, 5)
    await asyncio.wait_for(one.linger(), 5)
    await asyncio.wait_for(one.until_next_look(), 5)


# -- who writes


async def test_a_run_that_another_process_has_stored_makes_a_watcher() -> None:
    here = Desk()
    here.journal.begin()
    here.feed.mark(1000, 0)
    assert here.journal.writing

    async def append(run: Run, *, force: bool) -> Appended:
        return Appended(0, run.last)

    here.shelf.append = append  # type: ignore[method-assign]
    assert not await here.journal.step(0.0)
    assert (here.journal.writing, here.journal.behind) == (False, False)


async def test_boundaries_without_messages_are_written_from_the_first_on() -> None:
    """Otherwise the history begins with a break, as if nobody had heard what came before."""
    here = Desk()
    here.journal.begin()
    runs: list[Run] = []

    async def append(run: Run, *, force: bool) -> Appended:
        runs.append(run)
        return Appended(len(run.entries), run.last)

    here.shelf.append = append  # type: ignore[method-assign]
    for epoch in (1000, 1001, 1002):
        here.feed.mark(epoch, 0)
    while await here.journal.step(0.0):
        pass
    assert [(run.first, run.previous) for run in runs] == [
        (Position(1000, 0), None),
        (Position(1001, 0), Position(1000, 0)),
        (Position(1002, 0), Position(1001, 0)),
    ]


def test_boundaries_after_evicted_messages_are_all_written() -> None:
    feed = make_feed(Ring(3, RING_BYTES))
    feed.mark(1000, 0)
    for _ in range(2):
        feed.receive(b"x", 0)
    for epoch in (1001, 1002):
        feed.mark(epoch, 0)
    for _ in range(3):
        feed.receive(b"y", 0)
    assert feed.ring.dropped == 2
    run = run_after(feed.timeline, Position(1000, 2), RUN_ENTRIES)
    assert run is not None
    assert (run.first, run.previous) == (Position(1001, 0), Position(1000, 2))


@pytest.mark.parametrize("first", [True, False])
async def test_a_run_whose_past_is_missing_waits_and_is_then_forced(first: bool) -> None:
    """Whoever opened the first epoch is the first to give up, for it has the most."""
    grace = journal.FIRST_GRACE_SECONDS if first else journal.GRACE_SECONDS
    here = Desk()
    here.journal.join(first=first)
    forced: list[bool] = []

    async def append(run: Run, *, force: bool) -> Appended:
        forced.append(force)
        return Appended(len(run.entries), run.last) if force else Appended(0, None)

    here.shelf.append = append  # type: ignore[method-assign]
    here.feed.mark(1000, 0)
    await here.journal.step(0.0)
    here.shelf.newest_entry = Position(999, 1)
    here.receive(1)
    await here.journal.step(0.0)  # what was heard at the first look is missing: it writes
    assert here.journal.writing
    tries = round(grace / journal.STUCK_SECONDS)
    for _ in range(tries + 1):
        await here.journal.step(0.0)
    assert forced == [False] * tries + [True]
    assert (here.journal.writing, here.journal.behind) == (True, False)


async def test_time_in_which_nobody_could_write_does_not_count() -> None:
    """A process that did not run, or a Redis that was away, says nothing about the other processes."""
    here = Desk()
    forced: list[bool] = []

    async def refuse(run: Run, *, force: bool) -> Appended:
        forced.append(force)
        return Appended(len(run.entries), run.last) if force else Appended(0, None)

    here.shelf.append = refuse  # type: ignore[method-assign]
    here.shelf.newest_entry = Position(999, 1)
    here.feed.mark(1000, 0)
    for now in (0.0, 0.0, 1.0, 61.0):
        await here.journal.step(now)
    assert forced == [False, False]
    tries = round(journal.GRACE_SECONDS / journal.STUCK_SECONDS)
    for _ in range(tries - 3):
        await here.journal.step(61.0)
    here.journal._failed(RedisUnavailable("no answer", refused=False))
    for _ in range(tries):
        await here.journal.step(99.0)
    assert set(forced) == {False}
    await here.journal.step(99.0)
    assert forced[-1]
