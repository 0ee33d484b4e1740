"""The loads: what is done to a server, and which figures come of it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from bench.client import Crowd
from bench.errors import BenchError, Missing
from bench.ledger import Ledger, Tally
from bench.loop import Loop
from bench.meter import Cost, Meter
from bench.publisher import Publisher
from bench.servers import Place, Running, Server

OPEN_SECONDS = 60.0
WARM_UP_MESSAGES = 5
WARM_UP_STREAMS = 50
FLAT_OUT_SECONDS = 120.0
DRAIN_SECONDS = 120.0
QUIET_SECONDS = 0.5
"""Nothing was read for so long: time to see whether everything has come."""
PATIENCE_SECONDS = 5.0
"""Nothing was read for so long: what has not come is lost."""
SETTLE_SECONDS = 1.0

BYTES_PER_DELIVERY = 200
"""A message with its fields and framing, generously: what the tape has to hold."""


@dataclass(frozen=True, slots=True)
class Result:
    """One server under one load, once. `figures` are by name (bench/figures.py)."""

    figures: Mapping[str, float]
    tally: Tally
    cost: Cost
    notes: Sequence[str] = ()


class Scenario(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def streams(self) -> int: ...

    @property
    def figures(self) -> tuple[str, ...]:
        """Which figures it yields, in the order of the table."""

    def run(self, server: Server, place: Place) -> Result:
        """Raises BenchError when the server cannot stand it."""


@dataclass(frozen=True, slots=True)
class Live:
    """Messages at a steady rate."""

    name: str
    streams: int
    per_second: float
    seconds: float
    figures = "cpu_us", "p50_ms", "p99_ms", "max_ms"

    @property
    def title(self) -> str:
        return f"{self.streams:,} streams, {self.per_second:g} messages/s for {self.seconds:g} s"

    def run(self, server: Server, place: Place) -> Result:
        count = round(self.per_second * self.seconds)
        with _audience(server, place, self.streams) as audience:
            ledger = audience.expect(count)
            audience.meter.start()
            audience.publisher.at_rate(ledger, self.per_second, count)
            tally = audience.drain()
            cost = audience.meter.cost()
        latency = ledger.latency_ns
        figures = {"cpu_us": _per(cost.cpu_seconds * 1e6, tally.delivered)}
        if tally.delivered:
            figures["p50_ms"] = latency.percentile(50) / 1e6
            figures["p99_ms"] = latency.percentile(99) / 1e6
            figures["max_ms"] = latency.percentile(100) / 1e6
        return Result(figures, tally, cost, _gaps(ledger))


@dataclass(frozen=True, slots=True)
class FlatOut:
    """Messages as fast as they are taken."""

    name: str
    streams: int
    messages: int
    figures = "deliveries_per_s", "messages_per_s", "messages_per_cpu_s", "cpu_us"

    @property
    def title(self) -> str:
        return f"{self.messages:,} messages at once to {self.streams:,} streams"

    def run(self, server: Server, place: Place) -> Result:
        count = min(self.messages, server.max_messages)
        with _audience(server, place, self.streams) as audience:
            ledger = audience.expect(count)
            requests = audience.publisher.prepare(ledger, count)
            audience.meter.start()
            start_ns = time.perf_counter_ns()
            audience.publisher.flat_out(requests, count, FLAT_OUT_SECONDS)
            tally = audience.drain()
            cost = audience.meter.cost()
        seconds = max(ledger.last_ns - start_ns, 1) / 1e9
        messages = tally.delivered / self.streams
        figures = {
            "deliveries_per_s": tally.delivered / seconds,
            "messages_per_s": messages / seconds,
            "messages_per_cpu_s": _per(messages, cost.cpu_seconds),
            "cpu_us": _per(cost.cpu_seconds * 1e6, tally.delivered),
        }
        fewer = [f"with {count:,} messages"] if count < self.messages else []
        return Result(figures, tally, cost, [*fewer, *_gaps(ledger)])


@dataclass(frozen=True, slots=True)
class Idle:
    """Streams are opened, and then nothing is published.

    `apart`: each has a channel of its own, and `settle_seconds` must be enough for all to be entered.
    """

    name: str
    streams: int
    seconds: float
    apart: bool = False
    settle_seconds: float = SETTLE_SECONDS
    figures = "open_us", "memory_kib", "idle_percent"

    @property
    def title(self) -> str:
        apart = ", each of a channel of its own," if self.apart else ""
        return f"{self.streams:,} streams{apart} are opened and stay idle for {self.seconds:g} s"

    def run(self, server: Server, place: Place) -> Result:
        with (
            server.start(place) as running,
            Loop() as loop,
            Crowd(loop, running.address, self._path(running)) as crowd,
        ):
            with Crowd(loop, running.address, running.path) as first:
                first.open(WARM_UP_STREAMS, OPEN_SECONDS)
            _wait(loop, SETTLE_SECONDS)
            meter = Meter(running, place)
            memory = meter.memory()
            crowd.open(self.streams, OPEN_SECONDS)
            _wait(loop, self.settle_seconds)
            meter.mark()
            opening, grown = meter.cost(), meter.memory() - memory
            meter.start()
            _wait(loop, self.seconds)
            meter.mark()
            idle, tally = meter.cost(), crowd.check()
        figures = {
            "open_us": opening.cpu_seconds * 1e6 / self.streams,
            "memory_kib": grown / 1024 / self.streams,
            "idle_percent": idle.cpu_seconds / idle.seconds * 100,
        }
        return Result(figures, tally, opening)

    def _path(self, running: Running) -> str:
        if self.apart and not running.own_path:
            raise Missing("it has one channel")
        return running.own_path if self.apart else running.path


def scenarios(*, quick: bool) -> tuple[Scenario, ...]:
    """All loads; `quick` ones show that everything works, and nothing else."""
    if quick:
        return (
            Live("live-100", 10, 20, 2),
            Live("live-1000", 100, 50, 2),
            Live("live-5000", 500, 5, 2),
            Live("live-10000", 1_000, 2, 2),
            FlatOut("burst", 100, 1_000),
            FlatOut("ingest", 10, 20_000),
            Idle("idle", 500, 3),
            Idle("channels", 100, 3, apart=True),
        )
    return (
        Live("live-100", 100, 20, 10),
        Live("live-1000", 1_000, 50, 10),
        Live("live-5000", 5_000, 5, 10),
        Live("live-10000", 10_000, 2, 10),
        FlatOut("burst", 1_000, 3_000),
        FlatOut("ingest", 10, 300_000),
        Idle("idle", 10_000, 15),
        Idle("channels", 5_000, 15, apart=True, settle_seconds=10),
    )


@dataclass(frozen=True, slots=True)
class _Audience:
    """Open streams that have shown that they get messages, and what publishes to them."""

    loop: Loop
    crowd: Crowd
    publisher: Publisher
    meter: Meter

    def expect(self, messages: int) -> Ledger:
        """The ledger of the next phase."""
        ledger = Ledger(self.crowd.ledger.phase + 1)
        self.crowd.tape.reserve(messages * len(self.crowd) * BYTES_PER_DELIVERY)
        self.crowd.expect(ledger)
        return ledger

    def drain(self) -> Tally:
        """Reads until everything has come, or nothing comes any more."""
        deadline = time.perf_counter() + DRAIN_SECONDS
        self.meter.mark()
        last_read = time.perf_counter()
        while True:
            self._read_until_quiet(deadline)
            last_read = max(last_read, self.crowd.tape.last_ns / 1e9)
            tally = self.crowd.check()
            now = time.perf_counter()
            if not tally.lost or now > deadline or now - last_read > PATIENCE_SECONDS:
                return tally

    def _read_until_quiet(self, deadline: float) -> None:
        quiet_from = time.perf_counter()
        read = False
        while (now := time.perf_counter()) - quiet_from < QUIET_SECONDS and now < deadline:
            if self.loop.turn(0.01):
                quiet_from, read = now, True
            elif read:  # the cost of a phase is counted to the moment it falls silent
                self.meter.mark()
                read = False


@contextmanager
def _audience(server: Server, place: Place, streams: int) -> Iterator[_Audience]:
    with (
        server.start(place) as running,
        Loop() as loop,
        Crowd(loop, running.address, running.path) as crowd,
        Publisher(loop, running.dialect) as publisher,
    ):
        crowd.open(streams, OPEN_SECONDS)
        _warm_up(loop, crowd, publisher)
        yield _Audience(loop, crowd, publisher, Meter(running, place))
        running.child.require_alive()


def _warm_up(loop: Loop, crowd: Crowd, publisher: Publisher) -> None:
    """Publishes until every stream has brought a message. Raises BenchError when one does not."""
    ledger = Ledger(1)
    crowd.expect(ledger)
    for _ in range(WARM_UP_MESSAGES):
        publisher.at_rate(ledger, 10, 1)
        _wait(loop, SETTLE_SECONDS)
        crowd.check()
        if all(stream.lost < len(ledger.tokens) for stream in crowd.receptions()):
            return
    raise BenchError("there are streams that bring no messages")


def _wait(loop: Loop, seconds: float) -> None:
    loop.run_until(time.perf_counter_ns() + int(seconds * 1e9))


def _per(amount: float, count: float) -> float:
    return amount / count if count else float("nan")


def _gaps(ledger: Ledger) -> list[str]:
    return [f"told of a gap, {reason}" for reason in sorted(ledger.gap_reasons)]
