"""A stream channel, real classes under random schedules, against every entry that was ever added.

A failed schedule prints its seed; `SEED=<seed> pytest tests/simulation/test_stored_model.py` runs that one.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from relay.feed.stored_timeline import StoredTimeline
from relay.history.stored_stream import Extract
from relay.source import tracked, verdict
from relay.source.tracked import Tracked
from relay.source.verdict import Verdict
from tests.simulation.seeds import run, seeds_in
from tests.simulation.stored_schedule import StoredSchedule
from tests.simulation.truth import Violation

SCHEDULES = 400
BLOCKS = 4
Mutant = Callable[[pytest.MonkeyPatch], None]


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_client_gets_every_entry_once_in_order_or_a_gap(block: int) -> None:
    for seed in seeds_in(block, BLOCKS, SCHEDULES):
        run(StoredSchedule(seed), "test_stored_model.py")  # type: ignore[arg-type]


# -- the checks find what is wrong


def the_position_advances_before_delivery(patch: pytest.MonkeyPatch) -> None:
    real = Tracked._take

    def take(self: Tracked, entries: Sequence[Any], *, more: bool) -> None:
        if entries and self._feed.timeline.position is not None:
            end = Extract("stream", entries=entries).end
            assert end is not None
            self._feed.restart(end)
            asyncio.get_running_loop().call_later(0.02, deliver, self, entries)
            real(self, [], more=False)
        else:
            real(self, entries, more=more)

    def deliver(self: Tracked, entries: Sequence[Any]) -> None:
        if not self._left:
            self._feed.receive(entries)
            self._feed.readers.wake()

    patch.setattr(Tracked, "_take", take)


def the_newest_id_is_taken_at_reconnect(patch: pytest.MonkeyPatch) -> None:
    real = verdict.judge

    def judge(timeline: StoredTimeline, extract: Extract, *, settled: bool) -> Verdict:
        if settled:
            return real(timeline, extract, settled=settled)
        timeline.begin(extract.last, whole=True)
        if isinstance(extract.entries, list):
            extract.entries.clear()
        return Verdict()

    patch.setattr(tracked, "judge", judge)


def what_was_trimmed_is_not_told(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Extract, "missing", lambda self, position, added: 0)


def a_notice_is_ignored_now_and_then(patch: pytest.MonkeyPatch) -> None:
    real, count = Tracked._settle, [0]

    def settle(self: Tracked) -> None:
        count[0] += 1
        real(self)
        if count[0] % 10 == 0:
            self._feed.restart(self._feed.timeline.position._replace(offset=2**60))  # type: ignore[union-attr]

    patch.setattr(Tracked, "_settle", settle)


MUTANTS: Sequence[Mutant] = (
    the_position_advances_before_delivery,
    the_newest_id_is_taken_at_reconnect,
    what_was_trimmed_is_not_told,
    a_notice_is_ignored_now_and_then,
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_checker_catches(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    for seed in range(1, 61):
        try:
            StoredSchedule(seed).run()
        except Violation:
            return
    raise AssertionError("not caught in 60 schedules")
