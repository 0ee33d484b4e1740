"""A hole is filled from the history, until the old connection has filled it or the time is over."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from relay.broker.errors import RedisUnavailable
from relay.history import journal, pacer
from relay.source import refill
from relay.source.refill import fill
from relay.wire.position import Position

MASTER: Any = object()


class Intake:
    """One session is held until the old connection comes as far, or it is given up."""

    def __init__(self) -> None:
        self.promoted = asyncio.Event()
        self.given_up = False
        self.filled = 0
        self.outdone = False

    def is_outdone(self, session: object) -> bool:
        return self.outdone and self.held

    @property
    def held(self) -> bool:
        return not (self.promoted.is_set() or self.given_up)

    def fill(self, session: object, entry: object) -> None:
        self.filled += 1

    def give_up(self, session: object) -> None:
        self.given_up = True


class NoPosition:
    position = None
    timeline: Any = None
    newest_epoch = 0


@dataclass
class Channel:
    history: object = object()
    feed: Any = None
    epochs: Any = None

    def __post_init__(self) -> None:
        self.feed = NoPosition()
        self.feed.timeline = self.feed


class Entered:
    def __init__(self, *, alone: bool) -> None:
        self.channel, self.intake = Channel(), Intake()
        self.session, self.alone = object(), alone
        self.before: Any = None

    @property
    def held(self) -> bool:
        return self.intake.held


async def test_the_old_connection_that_fills_the_hole_ends_the_wait_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refill, "POLL_SECONDS", 3600.0)
    entered = Entered(alone=False)
    filling = asyncio.create_task(fill(entered, MASTER))  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    assert not filling.done()
    entered.intake.promoted.set()
    await asyncio.wait_for(filling, 1)
    assert not entered.intake.given_up


@pytest.mark.parametrize(("alone", "waits"), [(True, False), (False, True)])
async def test_it_is_given_up_when_nobody_has_written_in_time(
    monkeypatch: pytest.MonkeyPatch, alone: bool, waits: bool
) -> None:
    monkeypatch.setattr(refill, "FILL_SECONDS", 0.2)
    entered = Entered(alone=alone)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await asyncio.wait_for(fill(entered, MASTER), 5)  # type: ignore[arg-type]
    assert entered.intake.given_up
    assert (loop.time() - begin >= 0.19) == waits


class Delivering:
    """The session of an old master that is still there."""

    delivers = True


async def test_nothing_is_filled_where_the_old_master_still_delivers() -> None:
    """What the history has is on its way here from the old master too, and would be there twice."""
    entered = Entered(alone=False)
    entered.before = Delivering()
    entered.channel.feed.position = Position(1, 1)
    history = entered.channel.history = Slowly(0.0, 5)
    await fill(entered, MASTER)  # type: ignore[arg-type]
    assert (history.number, entered.intake.filled) == (5, 0)
    assert entered.intake.given_up


def test_a_hole_waits_longer_than_any_process_needs_to_write_what_it_heard() -> None:
    """A watcher writes after two looks; a process with a hole of its own fills that first."""
    look = pacer.QUICK.watch[1]
    two_looks = 2 * (look + look)  # each is a pause, and after a marker another one
    assert two_looks < refill.SILENCE_SECONDS  # without any news for so long it is given up
    assert two_looks + journal.GRACE_SECONDS < refill.FILL_SECONDS


class Slowly:
    """A history in which one entry after the other appears, each after a while."""

    def __init__(self, seconds: float, number: int) -> None:
        self.number, self._seconds = number, seconds
        self.read_at = 0.0

    async def read(self, start: object, number: int, size_bytes: int) -> list[object]:
        now = asyncio.get_running_loop().time()
        if not self.number or now - self.read_at < self._seconds:
            return []
        self.read_at = now
        self.number -= 1
        return [object()]


async def test_news_from_the_history_extends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that writes may have had a hole of its own to fill first."""
    monkeypatch.setattr(refill, "SILENCE_SECONDS", 0.4)
    monkeypatch.setattr(refill, "FILL_SECONDS", 5.0)
    entered = Entered(alone=False)
    entered.channel.feed.position = Position(1, 1)
    history = entered.channel.history = Slowly(0.2, 5)
    loop = asyncio.get_running_loop()
    await asyncio.wait_for(fill(entered, MASTER), 10)  # type: ignore[arg-type]
    assert (history.number, entered.intake.filled) == (0, 5)
    assert entered.intake.given_up
    assert 0.35 <= loop.time() - history.read_at < 1.5


async def test_news_that_never_ends_does_not_extend_it_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refill, "SILENCE_SECONDS", 0.4)
    monkeypatch.setattr(refill, "FILL_SECONDS", 0.6)
    entered = Entered(alone=False)
    entered.channel.feed.position = Position(1, 1)
    entered.channel.history = Slowly(0.1, 1000)
    begin = asyncio.get_running_loop().time()
    filling = asyncio.create_task(fill(entered, MASTER))  # type: ignore[arg-type]
    await asyncio.sleep(0.3)
    entered.channel.history = Slowly(0.0, 0)
    await asyncio.wait_for(filling, 5)
    assert asyncio.get_running_loop().time() - begin < 1.5


class RefusedTwice:
    """Opens an epoch at the third attempt, whose marker then comes."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self.asked: list[tuple[object, int]] = []

    async def open(self, master: object, newest: int) -> None:
        self.asked.append((master, newest))
        if len(self.asked) < 3:
            raise RedisUnavailable("no answer", refused=False)
        asyncio.get_running_loop().call_later(0.05, setattr, self._intake, "outdone", False)


async def test_an_epoch_that_the_master_before_has_outdone_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refill, "RENEW_SECONDS", 0.2)
    entered = Entered(alone=False)
    channel, intake = entered.channel, entered.intake
    channel.feed.newest_epoch = 700
    epochs = RefusedTwice(intake)
    channel.epochs = epochs
    history = channel.history = Slowly(0.0, 5)
    intake.outdone = True
    await asyncio.wait_for(fill(entered, MASTER), 5)  # type: ignore[arg-type]
    assert epochs.asked == [(MASTER, 700)] * 3
    assert intake.given_up
    assert (history.number, intake.filled) == (5, 0)


async def test_the_attempts_end_with_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refill, "RENEW_SECONDS", 0.05)
    entered = Entered(alone=False)
    entered.channel.feed.newest_epoch = 700
    entered.channel.epochs = RefusedTwice(Intake())
    entered.intake.outdone = True
    filling = asyncio.create_task(fill(entered, MASTER))  # type: ignore[arg-type]
    await asyncio.sleep(0.1)
    assert not filling.done()
    entered.intake.promoted.set()
    await asyncio.wait_for(filling, 1)
