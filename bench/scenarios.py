"""The loads that servers are measured under, and the figures of each."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Protocol

import redis

from bench.audience import (
    BYTES_PER_DELIVERY,
    OPEN_SECONDS,
    SETTLE_SECONDS,
    WARM_UP_MESSAGES,
    Audience,
    audience,
    gathered,
    settle,
    wait,
)
from bench.client import BROWSER
from bench.errors import BenchError, Missing
from bench.ledger import Ledger, Tally
from bench.loop import Loop
from bench.meter import Cost, Meter
from bench.publisher import Publisher, at_rate
from bench.servers import Place, Running, Server
from bench.witness import Witness

WARM_UP_STREAMS = 50
FLAT_OUT_SECONDS = 120.0
LAST_WRITE_SECONDS = 3.0
"""How long after the last message the journal has certainly written it (relay/history/pacer.py)."""
ROUND_PER_SECOND = 2
STREAM_READS = "xrange", "xrevrange"


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
        """The names of its figures, in the order of the table."""

    def run(self, server: Server, place: Place) -> Result:
        """Measures the server. Raises BenchError when the server cannot stand the load."""


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
        with audience(server, place, self.streams) as here:
            ledger = here.expect(count)
            here.meter.start()
            at_rate(here.loop, [(here.publisher, ledger)], self.per_second, count)
            tally = here.drain()
            cost = here.meter.cost()
        latency = ledger.latency_ns
        figures = {"cpu_us": _per(cost.cpu_seconds * 1e6, tally.delivered)}
        if tally.delivered:
            figures["p50_ms"] = latency.percentile(50) / 1e6
            figures["p99_ms"] = latency.percentile(99) / 1e6
            figures["max_ms"] = latency.percentile(100) / 1e6
        return Result(figures, tally, cost, _gaps(ledger))


@dataclass(frozen=True, slots=True)
class HistoryCost:
    """The cost of the history: a server with a history beside the same server without.

    Both run at the same time on the same core and get their messages in turn, so that both find the
    machine in the same state. Two processes of one program still differ by a few per cent. So there
    are several rounds with new processes, which are started in alternating order.
    """

    name: str
    streams: int
    per_second: float
    seconds: float
    rounds: int = 4
    figures = "cpu_us", "off_cpu_us", "history_ratio"

    @property
    def title(self) -> str:
        return (
            f"history on and off side by side, {self.streams:,} streams and {self.per_second:g}"
            f" messages/s each, {self.rounds} × {self.seconds:g} s"
        )

    def run(self, server: Server, place: Place) -> Result:
        servers = [server, server.without_history()]
        rounds = [self._round(servers[:: (1, -1)[n % 2]], place) for n in range(self.rounds)]
        on, off = (sum(one.cpu_us[kind] for one in rounds) / self.rounds for kind in servers)
        return Result(
            {"cpu_us": on, "off_cpu_us": off, "history_ratio": on / off},
            sum((one.tally for one in rounds), start=Tally()),
            reduce(add, (one.cost for one in rounds)),
            sorted({note for one in rounds for note in one.notes}),
        )

    def _round(self, servers: Sequence[Server], place: Place) -> "_Round":
        with ExitStack() as stack:
            loop = stack.enter_context(Loop())
            audiences = {}
            for server in servers:
                running = stack.enter_context(server.start(place))
                audiences[server] = stack.enter_context(
                    gathered(running, loop, place, self.streams)
                )
            return self._measure(loop, audiences, place)

    def _measure(self, loop: Loop, audiences: Mapping[Server, Audience], place: Place) -> "_Round":
        here = audiences.values()
        count = round(self.per_second * self.seconds)
        both = Meter([pid for one in here for pid in one.meter.pids], place)
        meters = [both, *(one.meter for one in here)]
        parts = [(one.publisher, one.expect(count)) for one in here]
        for meter in meters:
            meter.start()
        at_rate(loop, parts, self.per_second, count)
        wait(loop, LAST_WRITE_SECONDS)
        for meter in meters:
            meter.mark()
        spent = {server: one.meter.cost().cpu_seconds for server, one in audiences.items()}
        tallies = {server: one.drain() for server, one in audiences.items()}
        return _Round(
            {server: _per(spent[server] * 1e6, tallies[server].delivered) for server in audiences},
            sum(tallies.values(), start=Tally()),
            both.cost(),
            [note for _, ledger in parts for note in _gaps(ledger)],
        )


@dataclass(frozen=True, slots=True)
class _Round:
    """The results of servers side by side: CPU per delivery for each, the rest for all together."""

    cpu_us: Mapping[Server, float]
    tally: Tally
    cost: Cost
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class FlatOut:
    """Messages at full speed."""

    name: str
    streams: int
    messages: int
    figures = "deliveries_per_s", "messages_per_s", "messages_per_cpu_s", "cpu_us"

    @property
    def title(self) -> str:
        return f"{self.messages:,} messages at once to {self.streams:,} streams"

    def run(self, server: Server, place: Place) -> Result:
        count = min(self.messages, server.max_messages)
        with audience(server, place, self.streams) as here:
            ledger = here.expect(count)
            requests = here.publisher.prepare(ledger, count)
            here.meter.start()
            start_ns = time.perf_counter_ns()
            here.publisher.flat_out(requests, count, FLAT_OUT_SECONDS)
            tally = here.drain()
            cost = here.meter.cost()
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
    """Streams are opened, and then nothing is published; at the end they are closed.

    `apart`: each stream has its own channel. The hub must have entered all after `settle_seconds`.
    """

    name: str
    streams: int
    seconds: float
    apart: bool = False
    settle_seconds: float = SETTLE_SECONDS
    figures = "open_us", "memory_kib", "idle_percent", "close_us"

    @property
    def title(self) -> str:
        apart = ", each of a channel of its own," if self.apart else ""
        return f"{self.streams:,} streams{apart} are opened and stay idle for {self.seconds:g} s"

    def run(self, server: Server, place: Place) -> Result:
        with (
            server.start(place) as running,
            Loop() as loop,
            running.crowd(loop, apart=self.apart) as crowd,
        ):
            with running.crowd(loop) as first:
                first.open(WARM_UP_STREAMS, OPEN_SECONDS)
            settle(loop)
            meter = Meter(running.child.pids(), place)
            memory = meter.memory()
            crowd.open(self.streams, OPEN_SECONDS)
            wait(loop, self.settle_seconds)
            meter.mark()
            opening, grown = meter.cost(), meter.memory() - memory
            meter.start()
            wait(loop, self.seconds)
            meter.mark()
            idle, tally = meter.cost(), crowd.check()
            meter.start()
            crowd.close()
            settle(loop)
            meter.mark()
            closing = meter.cost()
        figures = {
            "open_us": opening.cpu_seconds * 1e6 / self.streams,
            "memory_kib": grown / 1024 / self.streams,
            "idle_percent": idle.cpu_seconds / idle.seconds * 100,
            "close_us": closing.cpu_seconds * 1e6 / self.streams,
        }
        return Result(figures, tally, opening)


@dataclass(frozen=True, slots=True)
class Resume:
    """All streams are cut and come back at once, with various last event ids.

    `restarted`: they come back to a process that was just started, which has only the history.
    """

    name: str
    streams: int
    messages: int
    restarted: bool = False
    figures = "all_live_s", "back_us", "peak_kib", "history_reads"

    @property
    def title(self) -> str:
        where = "a process that has just been started" if self.restarted else "the same process"
        return (
            f"{self.streams:,} streams are cut and come back at once to {where},"
            f" with up to {self.messages:,} messages to catch up"
        )

    def run(self, server: Server, place: Place) -> Result:
        self._require(server)
        with ExitStack() as before, ExitStack() as life, Loop() as loop:
            running = before.enter_context(server.start(place))
            with gathered(running, loop, place, self.streams) as here:
                ledger, ids = self._publish(here, running)
            if self.restarted:
                running = life.enter_context(server.start(place))
                before.close()
            with (
                running.crowd(loop) as crowd,
                Publisher(loop, running.dialect) as publisher,
            ):
                here = Audience(loop, crowd, publisher, Meter(running.child.pids(), place))
                return self._come_back(here, ledger, ids, place)

    def _require(self, server: Server) -> None:
        if not server.resumes:
            raise Missing("a client cannot come back with an id")
        if self.restarted and not server.keeps:
            raise Missing("another process of it does not have its messages")

    def _publish(self, here: Audience, running: Running) -> tuple[Ledger, list[bytes]]:
        """Publishes all messages. Returns their ledger, and the id of each."""
        with Witness(running.address, running.path) as witness:
            settle(here.loop)
            ledger = here.expect(self.messages)
            requests = here.publisher.prepare(ledger, self.messages)
            here.publisher.flat_out(requests, self.messages, FLAT_OUT_SECONDS)
            tally = here.drain()
            if tally.lost:
                raise BenchError(f"{tally.lost:,} messages were lost before the streams were cut")
            return ledger, witness.ids(self.messages)

    def _come_back(
        self, here: Audience, ledger: Ledger, ids: Sequence[bytes], place: Place
    ) -> Result:
        crowd, meter = here.crowd, here.meter
        crowd.tape.reserve(self.messages * self.streams // 2 * BYTES_PER_DELIVERY)
        ledger.delivered, reads, memory = 0, _history_reads(place), meter.start_memory_peak()
        meter.start()
        start_ns = time.perf_counter_ns()
        crowd.come_back(self.streams, ledger, ids, OPEN_SECONDS)
        all_open_ns = time.perf_counter_ns()
        here.drain()
        cost, peak = meter.cost(), meter.memory_peak()
        reads = _history_reads(place) - reads
        live_ns = max(all_open_ns, ledger.last_ns)
        at_rate(here.loop, [(here.publisher, ledger)], WARM_UP_MESSAGES, WARM_UP_MESSAGES)
        tally = here.drain()
        figures = {
            "all_live_s": (live_ns - start_ns) / 1e9,
            "back_us": cost.cpu_seconds * 1e6 / self.streams,
            "peak_kib": max(peak - memory, 0) / 1024 / self.streams,
            "history_reads": reads,
        }
        return Result(figures, tally, cost, _gaps(ledger))


@dataclass(frozen=True, slots=True)
class Rounds:
    """Streams are opened, served and closed, again and again, in one process: what churn costs.

    They send the head of a browser. The ratios are of the last round to the first.
    """

    name: str
    streams: int
    messages: int
    rounds: int = 4
    figures = "open_us", "open_ratio", "cpu_us", "cpu_ratio"

    @property
    def title(self) -> str:
        return (
            f"{self.streams:,} browsers open a stream, get {self.messages} messages and leave,"
            f" {self.rounds} times in one process"
        )

    def run(self, server: Server, place: Place) -> Result:
        with server.start(place) as running, Loop() as loop:
            with running.crowd(loop) as first:
                first.open(WARM_UP_STREAMS, OPEN_SECONDS)
            settle(loop)
            rounds = [self._round(running, loop, place) for _ in range(self.rounds)]
            running.child.require_alive()
        first_opening, first_serving, _ = rounds[0]
        last_opening, last_serving, _ = rounds[-1]
        deliveries = self.streams * self.messages
        figures = {
            "open_us": first_opening.cpu_seconds * 1e6 / self.streams,
            "open_ratio": _per(last_opening.cpu_seconds, first_opening.cpu_seconds),
            "cpu_us": first_serving.cpu_seconds * 1e6 / deliveries,
            "cpu_ratio": _per(last_serving.cpu_seconds, first_serving.cpu_seconds),
        }
        tallies = [tally for _, _, tally in rounds]
        return Result(figures, reduce(add, tallies), first_serving + last_serving)

    def _round(self, running: Running, loop: Loop, place: Place) -> tuple[Cost, Cost, Tally]:
        meter = Meter(running.child.pids(), place)
        with (
            running.crowd(loop, BROWSER) as crowd,
            Publisher(loop, running.dialect) as publisher,
        ):
            meter.start()
            crowd.open(self.streams, OPEN_SECONDS)
            meter.mark()
            opening = meter.cost()
            settle(loop)
            here = Audience(loop, crowd, publisher, meter)
            ledger = here.expect(self.messages)
            meter.start()
            at_rate(loop, [(publisher, ledger)], ROUND_PER_SECOND, self.messages)
            tally = here.drain()
            serving = meter.cost()
        settle(loop)
        return opening, serving, tally


def scenarios(*, quick: bool) -> tuple[Scenario, ...]:
    """Returns all loads. The `quick` ones only check that everything works."""
    if quick:
        return (
            Live("live-100", 10, 20, 2),
            Live("live-1000", 100, 50, 2),
            Live("live-5000", 500, 5, 2),
            Live("live-10000", 1_000, 2, 2),
            HistoryCost("history-100", 10, 20, 1, rounds=2),
            HistoryCost("history-1000", 100, 25, 1, rounds=2),
            HistoryCost("history-5000", 500, 5, 1, rounds=2),
            FlatOut("burst", 100, 1_000),
            FlatOut("ingest", 10, 20_000),
            Resume("resume", 200, 100),
            Resume("resume-elsewhere", 200, 100, restarted=True),
            Idle("idle", 500, 3),
            Idle("channels", 100, 3, apart=True),
            Rounds("rounds", 100, 4, rounds=2),
        )
    return (
        Live("live-100", 100, 20, 10),
        Live("live-1000", 1_000, 50, 10),
        Live("live-5000", 5_000, 5, 10),
        Live("live-10000", 10_000, 2, 10),
        HistoryCost("history-100", 100, 20, 16),
        HistoryCost("history-1000", 1_000, 25, 8),
        HistoryCost("history-5000", 5_000, 5, 8),
        FlatOut("burst", 1_000, 3_000),
        FlatOut("ingest", 10, 300_000),
        Resume("resume", 10_000, 300),
        Resume("resume-elsewhere", 10_000, 300, restarted=True),
        Idle("idle", 10_000, 15),
        Idle("channels", 5_000, 15, apart=True, settle_seconds=10),
        Rounds("rounds", 9_000, 10),
    )


def _per(amount: float, count: float) -> float:
    return amount / count if count else float("nan")


def _history_reads(place: Place) -> int:
    """Returns how often Redis has read from a stream since its start (INFO commandstats)."""
    with redis.Redis(port=place.redis_port) as client:
        commands = client.info("commandstats")
    return sum(int(commands.get(f"cmdstat_{name}", {"calls": 0})["calls"]) for name in STREAM_READS)


def _gaps(ledger: Ledger) -> list[str]:
    return [f"gaps with the reason {reason}" for reason in sorted(ledger.gap_reasons)]
