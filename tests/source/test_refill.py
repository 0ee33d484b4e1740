"""A hole is filled from the history, until the old connection has filled it or the time is over."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from relay.history import journal, pacer
from relay.source import refill
from relay.source.refill import fill


class Intake:
    """One session is held until the old connection comes as far, or it is given up."""

    def __init__(self) -> None:
        self.promoted = asyncio.Event()
        self.given_up = False

    @property
    def held(self) -> bool:
        return not (self.promoted.is_set() or self.given_up)

    def give_up(self, session: object) -> None:
        self.given_up = True


class NoPosition:
    position = None
    timeline: Any = None


@dataclass
class Channel:
    history: object = object()
    feed: Any = None

    def __post_init__(self) -> None:
        self.feed = NoPosition()
        self.feed.timeline = self.feed


class Entered:
    def __init__(self, *, alone: bool) -> None:
        self.channel, self.intake = Channel(), Intake()
        self.session, self.alone = object(), alone

    @property
    def held(self) -> bool:
        return self.intake.held


async def test_the_old_connection_that_fills_the_hole_ends_the_wait_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refill, "POLL_SECONDS", 3600.0)
    entered = Entered(alone=False)
    filling = asyncio.create_task(fill(entered))  # type: ignore[arg-type]
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
    await asyncio.wait_for(fill(entered), 5)  # type: ignore[arg-type]
    assert entered.intake.given_up
    assert (loop.time() - begin >= 0.19) == waits


def test_a_hole_waits_longer_than_any_process_needs_to_write_what_it_heard() -> None:
    """A watcher writes after two looks; a process with a hole of its own fills that first."""
    look = pacer.QUICK.watch[1]
    two_looks = 2 * (look + look)  # each is a pause, and after a marker another one
    assert two_looks + journal.GRACE_SECONDS < refill.FILL_SECONDS
