"""The id and replay protocol, real classes under random schedules, against what was published.

A failed schedule prints its seed; `SEED=<seed> pytest tests/simulation/test_model.py` runs exactly that one.
`SCHEDULES=<number>` runs more of them than usual, from `SEED` on if that is given as well.
"""

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace as changed
from typing import Any
from unittest import mock

import pytest

from relay.feed import entries, feed
from relay.feed.entries import Entry, Run
from relay.feed.fanout import Fanout
from relay.feed.feed import Feed
from relay.feed.ring import Place
from relay.feed.start import After, Live, Rewind, Since, Start
from relay.history import journal, page_cache
from relay.history.history import Appended
from relay.history.journal import Journal
from relay.history.page_cache import PageCache
from relay.replay import replay
from relay.source import intake, refill
from relay.source.intake import Intake, Session
from relay.wire.notices import GapReason
from relay.wire.position import Position
from tests.simulation import world as simulation
from tests.simulation.world import (
    CHANNEL,
    KEYS,
    START_MS,
    Client,
    Process,
    Simulation,
    Stream,
    Violation,
)

SCHEDULES = 2000
FIRST_SEED = 1
QUIET_SECONDS = 9.0
"""After the last fault: more than any timeout of the hub and its retries."""

FAULTS: dict[str, float] = {
    "kill": 3,
    "stop": 3,
    "cut": 6,
    "deafen": 2,
    "stall": 4,
    "unplug": 2,
    "flaky": 2,
    "hang": 3,
    "delete": 1,
    "flush": 1,
    "promote": 1.5,
    "trim": 3,
    "refuse": 1,
    "outage": 1,
    "clock": 2,
    "junk": 1,
}

SHAKY: dict[str, float] = {"stall": 8, "unplug": 4, "flaky": 6}
"""Connections that seem lost and come back while others are made."""


class Schedule:
    """One random run: processes, publishers, clients and faults, then quiet, then the last word."""

    def __init__(self, seed: int, faults: dict[str, float] = FAULTS, **settings: Any) -> None:
        self.seed = seed
        self.random = random.Random(f"schedule {seed}")
        self._settings = {**self._random_settings(), **settings}
        self.simulation = Simulation(seed, self._settings)
        self.redis = self.simulation.redis
        self.weights = self._weights(faults)
        self.steps = self.random.choice([80, 120, 220])
        self.pace = 0.05 if faults is SHAKY else self.random.choice([0.003, 0.02, 0.05])
        """The mean time between two steps, in seconds."""
        self.counters: list[int | None] = [None]
        self.calm_at = 0.0
        """When the last fault will be over."""
        self.trace: list[str] = []

    # -- what is drawn once

    def _random_settings(self) -> dict[str, Any]:
        draw = self.random.choice
        return {
            "channel": CHANNEL,
            "ring_events": draw([4, 20, 100, 1000]),
            "ring_bytes": draw([2000, 1_000_000]),
            "event_bytes": 100_000,
            "client_buffer_bytes": draw([50, 300, 4096]),
            "max_streams": 100,
            "heartbeat_seconds": draw([0.3, 3.0]),
            "retry_ms": 1000,
            "overload_retry_ms": 1000,
            "stall_seconds": draw([2.0, 30.0]),
            "prefix": "relay",
            "history_size": draw([5, 40, 1000, 1000, 1000, 0]),
            "history_seconds": draw([7.0, 20.0, 1000.0]),
        }

    def _limits(self) -> Iterator[tuple[Any, str, int]]:
        draw = self.random.choice
        yield page_cache, "PAGE_ENTRIES", draw([3, 16, 128])
        yield page_cache, "PAGE_BYTES", draw([1, 500, 256 * 1024])
        yield page_cache, "KEPT_PAGES", draw([1, 64])
        yield refill, "PAGE_ENTRIES", draw([1, 7, 500])
        yield journal, "RUN_ENTRIES", draw([1, 7, 512])
        yield feed, "RUN_BYTES", draw([100, 1024 * 1024])
        yield intake, "MAX_HELD_BYTES", draw([60, 64 * 1024 * 1024, 64 * 1024 * 1024])

    def _weights(self, faults: dict[str, float]) -> dict[str, float]:
        """Every schedule has only some of the faults, so that each also meets calm."""
        if faults is SHAKY:
            return {"publish": 20, "join": 2, "connect": 3, **faults}
        share = self.random.choice([0.1, 0.3, 0.6])
        factor = self.random.choice([0.3, 1.0, 2.0])
        chosen = {k: w * factor for k, w in faults.items() if self.random.random() < share}
        return {"publish": 30, "join": 4, "connect": 8, "leave": 5, "laze": 2, **chosen}

    # -- the run

    def run(self) -> None:
        with ExitStack() as stack:
            for module, name, value in self._limits():
                stack.enter_context(mock.patch.object(module, name, value))
            stack.enter_context(self.simulation)
            self._disorder()
            self._heal()
            self._check_end()
            if self.random.random() < 0.2:  # does anything come after the end?
                self.simulation.world.run(QUIET_SECONDS)
                self._check_current()

    def _disorder(self) -> None:
        names, weights = list(self.weights), list(self.weights.values())
        for name in self.random.choices(names, weights, k=self.steps):
            self.trace.append(f"{self.simulation.world.now:.4f} {name}")
            getattr(self, f"_{name}")()
            self._reconnect(0.3)
            self.simulation.world.run(self._pause())
            self._check_bounds()

    def _pause(self) -> float:
        if self.random.random() < 0.01:
            return self.random.uniform(0.5, 3.0)
        return self.random.expovariate(1 / self.pace)

    def _heal(self) -> None:
        """Nothing fails any more; at least one process is there and everybody comes back."""
        world = self.simulation.world
        self.redis.refusing = False
        self.redis.mend_clock()
        for process in self.simulation.alive:
            process.flaky = 0.0
        for client in self.simulation.clients:
            client.stalled_until = world.now
        if not self.simulation.alive:
            self.simulation.start_process()
        world.run(max(self.calm_at - world.now, 0.0))
        self._settle()
        for _ in range(3):
            self._say(b"last")
        self._settle()

    def _settle(self) -> None:
        """Lets time pass until all is well, or should be."""
        for _ in range(round(QUIET_SECONDS * 2)):
            self._reconnect(1.0)
            self.simulation.world.run(0.5)
            if not list(self._unsettled()):
                return

    # -- steps

    def _say(self, payload: bytes) -> None:
        self.redis.publish(CHANNEL, payload)

    def _publish(self) -> None:
        if self.redis.down:
            return
        when = 0.0
        for _ in range(self.random.choice([1, 1, 1, 3, 8, 20])):
            number = len(self.redis.order.payloads)
            same = self.random.random() < 0.2
            payload = (
                b"same" if same else b"%d %b" % (number, b"x" * self.random.choice([0, 9, 90]))
            )
            self.simulation.world.after(when, self._say_if_up, payload)
            when += self.random.choice([0.0, 0.0002, 0.003])

    def _say_if_up(self, payload: bytes) -> None:
        if not self.redis.down:
            self._say(payload)

    def _join(self) -> None:
        for _ in range(self.random.choice([1, 1, 2])):
            if len(self.simulation.alive) < 4:
                self.simulation.start_process()

    def _connect(self) -> None:
        clients = self.simulation.clients
        if len(clients) < 5 and self.simulation.alive:
            client = self.simulation.add_client(self.random.choice([0, 100, 1000, 100_000]))
            client.connect(self.random.choice(self.simulation.alive), self._first_start(client))

    def _first_start(self, client: Client) -> Start:
        choice = self.random.random()
        if choice < 0.6:
            return Live()
        if choice < 0.7:
            return Rewind(self.random.choice([1, 5, 100, None]))
        if choice < 0.8:
            return Since(START_MS + round(self.simulation.world.now * 1000 * self.random.random()))
        client.announced = True
        return After(self.random.choice([None, Position(1, 5), Position(10**15, 3)]))

    def _reconnect(self, chance: float) -> None:
        for client in self.simulation.clients:
            alive = self.simulation.alive
            if client.writer is None and alive and self.random.random() < chance:
                client.connect(self.random.choice(alive), client.start())

    def _some_client(self) -> Client | None:
        connected = [c for c in self.simulation.clients if c.writer]
        return self.random.choice(connected) if connected else None

    def _some_process(self) -> Process | None:
        alive = self.simulation.alive
        return self.random.choice(alive) if alive else None

    def _leave(self) -> None:
        if client := self._some_client():
            client.lost()

    def _laze(self) -> None:
        if client := self._some_client():
            client.stalled_until = self.simulation.world.now + self.random.choice([0.1, 1.0, 4.0])

    # -- faults

    def _for(self, *seconds: float) -> float:
        """How long a fault lasts."""
        chosen = self.random.choice(seconds)
        self.calm_at = max(self.calm_at, self.simulation.world.now + chosen)
        return chosen

    def _kill(self) -> None:
        if process := self._some_process():
            process.kill()

    def _stop(self) -> None:
        if process := self._some_process():
            process.stop()

    def _cut(self) -> None:
        if self.redis.connections:
            self.random.choice(self.redis.connections).cut()

    def _deafen(self) -> None:
        if self.redis.connections:
            self.random.choice(self.redis.connections).deafen()

    def _stall(self) -> None:
        if self.redis.connections:
            self.random.choice(self.redis.connections).stall(self._for(0.05, 0.5, 2.2, 4.0))

    def _unplug(self) -> None:
        if process := self._some_process():
            process.unplug(self._for(0.1, 1.0, 2.5, 5.0))

    def _flaky(self) -> None:
        if process := self._some_process():
            process.flaky = self.random.choice([0.0, 0.2, 0.8])

    def _hang(self) -> None:
        if process := self._some_process():
            process.hang(self._for(0.1, 1.0, 4.0))

    def _delete(self) -> None:
        self.redis.log.delete()

    def _flush(self) -> None:
        self.redis.flush()

    def _promote(self) -> None:
        counter = self.random.choice(self.counters)
        self.redis.promote(self.random.choice([0, 1, 5, 100]), counter)

    def _trim(self) -> None:
        length = len(self.redis.log.entries)
        self.redis.log.lose_head(self.random.randint(0, max(length - 1, 0)))

    def _refuse(self) -> None:
        self.redis.mend_clock()
        self.redis.refusing = not self.redis.refusing

    def _outage(self) -> None:
        """Redis ends; it comes back with what it had, or with nothing."""
        self.redis.down = True
        self.redis.disconnect_all()
        self.simulation.world.after(self._for(0.1, 1.0, 3.0), self._come_back)

    def _come_back(self) -> None:
        self.redis.down = False
        if self.random.random() < 0.5:
            self.redis.flush()

    def _clock(self) -> None:
        """It stands still, perhaps in the past; only while the counter is there to make up for it."""
        if self.redis.counts and self.random.random() < 0.7:
            self.redis.stop_clock(self.random.choice([0, 0, 5000]))
        else:
            self.redis.mend_clock()

    def _junk(self) -> None:
        self.redis.publish(KEYS.marker, self.random.choice([b"", b"12x", b"\xff", b"1" * 30]))

    # -- checks

    def _check_bounds(self) -> None:
        self.counters = [*self.counters[-20:], self.redis.counter]
        for process in self.simulation.processes:
            if process.alive:
                _check_memory(process)

    def _check_end(self) -> None:
        self._check_current()
        order, log = self.redis.order, self.redis.log
        kept = self._settings["ring_events"] >= 100  # else heartbeats push messages off the ring
        if self._settings["history_size"] and kept and not self._log_comes():
            raise Violation(f"the log ends at {log.newest()}, not at {order.newest}")

    def _check_current(self) -> None:
        for problem in self._unsettled():
            raise Violation(problem)

    def _unsettled(self) -> Iterator[str]:
        order = self.redis.order
        for process in self.simulation.alive:
            if process.channel.feed.position != order.newest:
                yield f"process {process.name} is at {process.channel.feed.position}"
        for client in self.simulation.clients:
            if client.writer is None or client.place != len(order.payloads):
                yield f"{client} did not get the last of {len(order.payloads)} messages"

    def _log_comes(self) -> bool:
        """One that was lost is written again with a pause at every break."""
        for _ in range(20):
            if self.redis.log.newest() == self.redis.order.newest:
                return True
            self.simulation.world.run(1.5)
        return False


def _check_memory(process: Process) -> None:
    ring, held = process.channel.feed.ring, process.channel.intake._next
    assert ring.end - ring.start <= ring.max_entries
    assert len(process.channel.feed._segments) <= feed.MAX_SEGMENTS
    if held is not None:
        assert held.held_bytes <= intake.MAX_HELD_BYTES
    if (kept := process.channel.arrivals.replay._pages) is not None:
        assert len(kept._pages) <= page_cache.KEPT_PAGES


# -- the protocol holds


def test_every_client_gets_every_message_once_in_order_or_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = os.environ.get("SEED")
    first = int(given) if given else FIRST_SEED
    number = int(os.environ.get("SCHEDULES", 1 if given else SCHEDULES))
    began = time.perf_counter()
    for seed in range(first, first + number):
        _run(seed)
    seconds = time.perf_counter() - began
    with capsys.disabled():
        print(f" schedules: {number}, from seed {first}, in {seconds:.0f} s ", end="")  # noqa: T201


def _run(seed: int) -> None:
    schedule = Schedule(seed, SHAKY if seed % 8 == 0 else FAULTS)
    try:
        schedule.run()
    except Exception as error:
        error.add_note(f"Again: SEED={seed} pytest tests/simulation/test_model.py. The last steps:")
        error.add_note(", ".join(schedule.trace[-20:]))
        raise


# -- what must not be noticed is not


class CalmSchedule(Schedule):
    """One fault after the other, each when the one before is over; somebody always listens."""

    def __init__(self, seed: int) -> None:
        ample = {"ring_events": 1000, "ring_bytes": 1_000_000, "stall_seconds": 30.0}
        ample |= {"history_size": 1000, "history_seconds": 1000.0}
        super().__init__(seed, {}, **ample)
        self.weights = {"publish": 30, "connect": 8, "leave": 5, "laze": 0.5}
        self.steps = 60

    def _first_start(self, client: Client) -> Start:
        return Live()

    def _disorder(self) -> None:
        for _ in range(3):
            self.simulation.start_process()
        self.simulation.world.run(3.0)
        for _ in range(4):
            super()._disorder()
            self.random.choice(self._faults())()
            super()._disorder()
            self.simulation.world.run(4.0)

    def _faults(self) -> list[Callable[[], None]]:
        lost = [self._cut, self._deafen, self._stall, self._unplug]
        return [*lost, self._hang, self._replace, self._restart]

    def _replace(self) -> None:
        self._kill()
        self.simulation.start_process()

    def _restart(self) -> None:
        """As a rolling restart does it: the new one is there before the old one goes."""
        self.simulation.start_process()
        self.simulation.world.run(1.0)
        self._stop()

    def _limits(self) -> Iterator[tuple[Any, str, int]]:
        return iter(())

    def _check_end(self) -> None:
        super()._check_end()
        for process in self.simulation.alive:
            number = self.random.randint(1, min(len(self.redis.order.payloads), 900))
            client = self.simulation.add_client(100_000)
            client.connect(process, Rewind(number))
            self.simulation.world.run(1.0)
            assert client.messages == number


def test_one_fault_at_a_time_is_noticed_by_no_client() -> None:
    for seed in range(1, 31):
        schedule = CalmSchedule(seed)
        schedule.run()
        gaps = [gap for client in schedule.simulation.clients for gap in client.gaps]
        assert not gaps, f"seed {seed}"


# -- where ids could repeat


def test_an_epoch_below_the_newest_is_replaced_and_nobody_misses_anything() -> None:
    """Redis loses everything and its clock goes back; who comes then knows no better epoch."""
    with Schedule(1, ring_events=1000, ring_bytes=1_000_000).simulation as world:
        old = world.start_process()
        world.world.run(1.0)
        client = world.add_client(100_000)
        client.connect(old, Live())
        world.world.run(1.0)
        world.redis.publish(CHANNEL, b"before")
        world.world.run(1.0)  # it is in the log, and nothing is left to be written
        world.redis.log.delete()
        world.redis.counter = None
        world.redis.stop_clock(5000)
        newest = world.order.epoch
        world.order.may_go_back = True
        world.start_process()
        while world.order.epoch == newest:
            world.world.run(0.01)
        assert world.order.epoch < newest
        world.redis.publish(CHANNEL, b"between")
        world.world.run(1.0)
        assert world.order.epoch == newest + 1
        world.redis.publish(CHANNEL, b"after")
        world.world.run(1.0)
        assert (client.messages, client.gaps) == (3, [])


# -- the checker finds what is wrong: mutants of the real classes


def caught_after(limit: int, faults: dict[str, float] = FAULTS) -> int:
    """How many schedules it took until one found a violation."""
    for number in range(1, limit + 1):
        try:
            Schedule(number, faults).run()
        except Violation:
            return number
    raise AssertionError(f"not caught in {limit} schedules")


Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]


def contiguity_is_not_checked_by_readers(patch: Patch) -> None:
    def missed_between(at: Position, entry: Entry) -> int | None:
        return 0 if at.epoch == entry.position.epoch else entries.missed_between(at, entry)

    patch.setattr(feed, "missed_between", missed_between)
    patch.setattr(replay, "missed_between", missed_between)


def contiguity_is_not_checked_by_the_log(patch: Patch) -> None:
    real = Stream.append

    def append(self: Stream, run: Run, **options: Any) -> Appended:
        appended = real(self, run, **{**options, "force": True})
        self.breaks.clear()
        return appended

    patch.setattr(Stream, "append", append)


def a_link_is_invented_after_a_rejoin(patch: Patch) -> None:
    def skip_to(
        self: Feed, epoch: int, missed: int | None, reason: GapReason, time_ms: int
    ) -> None:
        previous = self.position
        self._gap(Position(epoch, 0), missed, reason, time_ms)
        self._begin(epoch, previous, time_ms, whole=False)

    patch.setattr(Feed, "skip_to", skip_to)


def a_session_counts_before_its_first_marker(patch: Patch) -> None:
    early: dict[Session, list[bytes]] = {}
    real_take, real_first = Intake.take, Intake._first_marker

    def take(self: Intake, session: Session, messages: Sequence[Sequence[bytes]]) -> None:
        if session.epoch is None:
            early.setdefault(session, []).extend(m[2] for m in messages if m[1] == self._channel)
        real_take(self, session, messages)

    def first_marker(self: Intake, session: Session, epoch: int, now_ms: int) -> None:
        real_first(self, session, epoch, now_ms)
        for payload in early.pop(session, []):
            if session is self._live:
                self._feed.receive(payload, now_ms)

    patch.setattr(Intake, "take", take)
    patch.setattr(Intake, "_first_marker", first_marker)


def a_marker_resets_the_count_one_message_late(patch: Patch) -> None:
    waiting: dict[Feed, tuple[int, int]] = {}
    real_mark, real_receive = Feed.mark, Feed.receive

    def mark(self: Feed, epoch: int, time_ms: int) -> None:
        if self.position is None:
            real_mark(self, epoch, time_ms)
        else:
            waiting[self] = epoch, time_ms

    def receive(self: Feed, payload: bytes, time_ms: int, source: bytes = b"") -> None:
        real_receive(self, payload, time_ms, source)
        if self in waiting:
            real_mark(self, *waiting.pop(self))

    patch.setattr(Feed, "mark", mark)
    patch.setattr(Feed, "receive", receive)


def a_new_connection_counts_without_filling_the_hole(patch: Patch) -> None:
    def first_marker(self: Intake, session: Session, epoch: int, now_ms: int) -> None:
        session.epoch = epoch
        session.marked.set()
        self._live = session
        self._mark(epoch, now_ms)

    patch.setattr(Intake, "_first_marker", first_marker)


def the_journal_goes_on_without_the_log(patch: Patch) -> None:
    def go_back(self: Journal, run: Run, newest: Position | None, now: float) -> bool:
        self._at = run.last
        return False

    patch.setattr(Journal, "_go_back", go_back)


def a_place_after_a_gap_is_one_too_far(patch: Patch) -> None:
    real = Feed.find

    def find(self: Feed, position: Position) -> Place | None:
        place, segment = real(self, position), self._segment_of(position)
        if place is None or segment is None or segment.whole or place.cursor == self.ring.end:
            return place
        return Place(place.cursor + 1, place.seen + 1)

    patch.setattr(Feed, "find", find)


def a_dropped_notice_of_a_gap_is_forgotten(patch: Patch) -> None:
    patch.setattr(Feed, "unbroken", lambda self, first, last: True)


def a_page_begins_with_what_the_client_has(patch: Patch) -> None:
    async def after(self: PageCache, at: Position) -> Sequence[Entry]:
        return await self._log.read(at, page_cache.PAGE_ENTRIES, page_cache.PAGE_BYTES)

    patch.setattr(PageCache, "after", after)


def what_is_missed_is_counted_with_the_next_message(patch: Patch) -> None:
    real = Feed.missed_since

    def missed_since(self: Feed, position: Position, place: Place) -> int | None:
        missed = real(self, position, place)
        return None if missed is None else missed + 1

    patch.setattr(Feed, "missed_since", missed_since)


def a_boundary_is_linked_to_what_the_log_has(patch: Patch) -> None:
    real = Stream.append

    def append(self: Stream, run: Run, **options: Any) -> Appended:
        if run.first.offset == 0 and run.previous is None:
            run = changed(run, previous=self.newest())
        return real(self, run, **options)

    patch.setattr(Stream, "append", append)


def an_epoch_is_the_time_and_nothing_else(patch: Patch) -> None:
    patch.setattr(simulation, "next_epoch", lambda now_ms, *known: now_ms)


def a_marker_that_was_counted_before_begins_a_hole(patch: Patch) -> None:
    real = Intake._meet

    def meet(self: Intake, session: Session, now_ms: int) -> None:
        session.late = False
        real(self, session, now_ms)

    patch.setattr(Intake, "_meet", meet)


def an_old_connection_is_back_though_it_does_not_count(patch: Patch) -> None:
    patch.setattr(Intake, "counts", lambda self, session: True)


def a_client_that_is_ahead_is_not_waited_for(patch: Patch) -> None:
    patch.setattr(replay, "AHEAD_SECONDS", 0.0)


def who_is_kept_waiting_is_cut_as_stalled(patch: Patch) -> None:
    def cut_stalled(self: Fanout, seconds: float) -> None:
        for subscriber in self._behind:
            subscriber.full = True
        real(self, seconds)

    real = Fanout.cut_stalled
    patch.setattr(Fanout, "cut_stalled", cut_stalled)


MUTANTS: dict[Mutant, tuple[int, dict[str, float]]] = {
    contiguity_is_not_checked_by_readers: (50, FAULTS),
    contiguity_is_not_checked_by_the_log: (50, FAULTS),
    a_link_is_invented_after_a_rejoin: (50, FAULTS),
    a_session_counts_before_its_first_marker: (50, FAULTS),
    a_marker_resets_the_count_one_message_late: (50, FAULTS),
    a_new_connection_counts_without_filling_the_hole: (50, FAULTS),
    the_journal_goes_on_without_the_log: (50, FAULTS),
    a_place_after_a_gap_is_one_too_far: (50, FAULTS),
    a_dropped_notice_of_a_gap_is_forgotten: (50, FAULTS),
    a_page_begins_with_what_the_client_has: (50, FAULTS),
    what_is_missed_is_counted_with_the_next_message: (100, FAULTS),
    a_boundary_is_linked_to_what_the_log_has: (50, FAULTS),
    an_epoch_is_the_time_and_nothing_else: (50, FAULTS),
    a_client_that_is_ahead_is_not_waited_for: (50, FAULTS),
    who_is_kept_waiting_is_cut_as_stalled: (100, FAULTS),
    a_marker_that_was_counted_before_begins_a_hole: (400, SHAKY),
    an_old_connection_is_back_though_it_does_not_count: (400, SHAKY),
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_checker_catches(
    mutant: Mutant, monkeypatch: Patch, record_property: Callable[[str, object], None]
) -> None:
    mutant(monkeypatch)
    record_property("schedules", caught_after(*MUTANTS[mutant]))
