"""Random runs of a simulation, and the checks that end them."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from unittest import mock

from relay.feed import fanout, runs, timeline
from relay.feed.start import After, Live, Rewind, Since, Start
from relay.history import journal, page_cache
from relay.source import intake, refill
from relay.wire.position import Position
from tests.simulation import network
from tests.simulation.client import Client
from tests.simulation.clock import START_MS
from tests.simulation.process import Process
from tests.simulation.redis import PREFIX, SimulatedChannel
from tests.simulation.simulation import Simulation
from tests.simulation.truth import Violation

CHANNEL = "c"
QUIET = "q"
"""A second channel, on which less is said."""

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

    simulation_type = Simulation

    def __init__(self, seed: int, faults: dict[str, float] = FAULTS, **settings: Any) -> None:
        self.seed = seed
        self.random = random.Random(f"schedule {seed}")
        self._settings = {**self._random_settings(), **settings}
        self.simulation = self.simulation_type(seed, self._settings)
        self.redis = self.simulation.redis
        self.weights = self._weights(faults)
        self.steps = self.random.choice([80, 120, 220])
        self.pace = 0.05 if faults is SHAKY else self.random.choice([0.003, 0.02, 0.05])
        """The mean time between two steps, in seconds."""
        self.counters: list[dict[str, int | None]] = [self._counters()]
        self.calm_at = 0.0
        """When the last fault will be over."""
        self.trace: list[str] = []

    # -- what is drawn once

    def _random_settings(self) -> dict[str, Any]:
        draw = self.random.choice
        return {
            "channel": CHANNEL,
            "channels": ((QUIET, {"access": "public", "always": True}),),
            "ring_events": draw([4, 20, 100, 1000]),
            "ring_bytes": draw([2000, 1_000_000]),
            "event_bytes": 100_000,
            "client_buffer_bytes": draw([50, 300, 4096]),
            "max_streams": 100,
            "heartbeat_seconds": draw([0.3, 3.0]),
            "retry_ms": 1000,
            "overload_retry_ms": 1000,
            "stall_seconds": draw([2.0, 30.0]),
            "prefix": PREFIX,
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
        yield runs, "RUN_BYTES", draw([100, 1024 * 1024])
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
        for channel in self.redis.channels:
            for _ in range(3):
                self.redis.publish(channel, b"last")
        self._settle()

    def _settle(self) -> None:
        """Lets time pass until all is well, or should be."""
        for _ in range(round(QUIET_SECONDS * 2)):
            self._reconnect(1.0)
            self.simulation.world.run(0.5)
            if not list(self._unsettled()):
                return

    # -- steps

    def _publish(self) -> None:
        if self.redis.down:
            return
        when, channel = 0.0, self._some_channel()
        for _ in range(self.random.choice([1, 1, 1, 3, 8, 20])):
            number = len(channel.order.payloads)
            same = self.random.random() < 0.2
            payload = (
                b"same" if same else b"%d %b" % (number, b"x" * self.random.choice([0, 9, 90]))
            )
            self.simulation.world.after(when, self._say_if_up, channel.name, payload)
            when += self.random.choice([0.0, 0.0002, 0.003])

    def _say_if_up(self, channel: str, payload: bytes) -> None:
        if not self.redis.down:
            self.redis.publish(channel, payload)

    def _some_channel(self) -> SimulatedChannel:
        return self.redis.channels[CHANNEL if self.random.random() < 0.8 else QUIET]

    def _join(self) -> None:
        for _ in range(self.random.choice([1, 1, 2])):
            if len(self.simulation.alive) < 4:
                self.simulation.start_process()

    def _connect(self) -> None:
        clients = self.simulation.clients
        if len(clients) < 5 and self.simulation.alive:
            room = self.random.choice([0, 100, 1000, 100_000])
            client = self.simulation.add_client(self._some_channel().name, room)
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
        self._some_channel().history.delete()

    def _flush(self) -> None:
        self.redis.flush()

    def _promote(self) -> None:
        counters = self.random.choice(self.counters)
        self.redis.promote(self.random.choice([0, 1, 5, 100]), counters)

    def _trim(self) -> None:
        history = self._some_channel().history
        history.lose_head(self.random.randint(0, max(len(history.entries) - 1, 0)))

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
        marker = self._some_channel().keys.marker("")
        self.redis.publish(marker, self.random.choice([b"", b"12x", b"\xff", b"1" * 30]))

    # -- checks

    def _check_bounds(self) -> None:
        self.counters = [*self.counters[-20:], self._counters()]
        for process in self.simulation.processes:
            if process.alive:
                for channel in self.redis.channels:
                    _check_memory(process, channel)

    def _counters(self) -> dict[str, int | None]:
        return {name: channel.counter for name, channel in self.redis.channels.items()}

    def _check_end(self) -> None:
        self._check_current()
        kept = self._settings["ring_events"] >= 100  # else heartbeats push messages off the ring
        if not self._settings["history_size"] or not kept:
            return
        for channel in self._without_history():
            newest = channel.order.newest
            raise Violation(
                f"the history of {channel.name} ends at {channel.history.newest()}, not at {newest}"
            )

    def _check_current(self) -> None:
        for problem in self._unsettled():
            raise Violation(problem)

    def _unsettled(self) -> Iterator[str]:
        for process in self.simulation.alive:
            for name, channel in self.redis.channels.items():
                position = process.channel(name).feed.timeline.position
                if position != channel.order.newest:
                    yield f"process {process.name} is at {position} of {name}"
        for client in self.simulation.clients:
            number = len(client.order.payloads)
            if client.writer is None or client.place != number:
                yield f"{client} did not get the last of {number} messages"

    def _without_history(self) -> list[SimulatedChannel]:
        """The channels whose history is not written to the end.

        One that was lost is written again with a pause at every break. One that is whole may expire
        while another one is waited for.
        """
        lacking = list(self.redis.channels.values())
        for _ in range(20):
            lacking = [each for each in lacking if each.history.newest() != each.order.newest]
            if not lacking:
                break
            self.simulation.world.run(1.5)
        return lacking


def _check_memory(process: Process, name: str) -> None:
    channel = process.channel(name)
    ring, held = channel.feed.ring, channel.intake._next
    assert ring.end - ring.start <= ring.max_entries
    assert len(channel.feed.timeline.segments) <= timeline.MAX_SEGMENTS
    if held is not None:
        assert held.held_bytes <= intake.MAX_HELD_BYTES
    if channel.past is not None:
        assert len(channel.past.pages._pages) <= page_cache.KEPT_PAGES


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
            published = len(self.redis.channels[CHANNEL].order.payloads)
            number = self.random.randint(1, min(published, 900))
            client = self.simulation.add_client(CHANNEL, 100_000)
            client.connect(process, Rewind(number))
            self.simulation.world.run(1.0)
            assert client.messages == number


class Flood(Schedule):
    """A busy channel that comes faster than it can be sent, and now and then a word on another one.

    Every client keeps up. No read holds more than the ring does.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed, {}, ring_events=200, ring_bytes=1_000_000, client_buffer_bytes=100)

    def _limits(self) -> Iterator[tuple[Any, str, int]]:
        yield fanout, "SLICE", 1
        yield network, "READ_ITEMS", 20

    def _disorder(self) -> None:
        process, world = self.simulation.start_process(), self.simulation.world
        world.run(1.0)
        for name in [CHANNEL] * 20 + [QUIET]:
            self.simulation.add_client(name, 1_000_000).connect(process, Live())
        world.run(1.0)
        for number in range(3000):
            world.after(number * 20e-6, self.redis.publish, CHANNEL, b"%d" % number)
            if number % 10 == 0:
                world.after(number * 20e-6, self.redis.publish, QUIET, b"%d" % number)

    def _check_end(self) -> None:
        super()._check_end()
        for client in self.simulation.clients:
            if client.gaps:
                raise Violation(f"{client} kept up and was sent {client.gaps[0]}")
