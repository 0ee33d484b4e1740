"""The steps of a run, one after the other."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import redis

from bench import interrupt
from bench.errors import BenchError
from bench.process import cpu_seconds, memory_bytes
from bench.servers.base import CHANNEL
from bench.streams100k.clients import Clients
from bench.streams100k.events import message
from bench.streams100k.hub import (
    ROLLED,
    HubWithWorkers,
    alive,
    kernel_bytes,
    sockets_of,
)
from bench.streams100k.plan import Plan
from bench.streams100k.results import Ended, Killed, Opened, Rest, Results, Rolled, ToAll
from bench.streams100k.talk import Report

OPEN_SECONDS = 240.0
ALL_HAVE_SECONDS = 60.0
BACK_SECONDS = 90.0
SETTLE_SECONDS = 2.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Before:
    """The state before any stream was opened."""

    at: float
    cpu_seconds: float
    hub_bytes: int
    kernel_bytes: int

    @classmethod
    def now(cls, hub: HubWithWorkers) -> "Before":
        pids = hub.pids()
        return cls(time.monotonic(), cpu_seconds(pids), memory_bytes(pids), kernel_bytes())


class Run:
    """All steps on a hub that is live. What they measure goes into `results` at once."""

    def __init__(
        self,
        plan: Plan,
        hub: HubWithWorkers,
        redis_server: tuple[int, int],
        results: Results,
        say: Say,
    ) -> None:
        self.results = results
        self._plan = plan
        self._hub = hub
        self._redis_pid = redis_server[1]
        self._redis = redis.Redis(port=redis_server[0])
        self._say = say

    def steps(self, port: int) -> None:
        """Raises BenchError when a step does not come to its end in time."""
        before = Before.now(self._hub)
        with self._redis, Clients(self._plan, port) as clients:
            try:
                self._open(clients, before)
                self._rest(clients)
                for _ in range(self._plan.messages):
                    self._to_all(clients)
                self._kill(clients)
                self._reach_all(clients)
                self._roll(clients)
                self._reach_all(clients)
                self._end(clients)
            finally:
                self.results.log = self._hub.log()

    # -- the steps

    def _open(self, clients: Clients, before: "Before") -> None:
        self._say(f"opening {self._plan.streams:,} streams")

        def all_open(report: Report) -> bool:
            return report.open == report.begun == self._plan.streams

        report = self._wait(clients, "all streams are open", all_open, OPEN_SECONDS)
        cpu = cpu_seconds(self._hub.pids()) - before.cpu_seconds
        pause(SETTLE_SECONDS)
        sockets = [sockets_of(pid) for pid in self._hub.workers()]
        self.results.opened = Opened(
            seconds=report.last_opened_at - before.at,
            cpu_seconds=cpu,
            empty_bytes=before.hub_bytes,
            full_bytes=memory_bytes(self._hub.pids()),
            kernel_bytes=kernel_bytes() - before.kernel_bytes,
            client_bytes=memory_bytes(clients.pids()),
            fewest=min(sockets),
            most=max(sockets),
        )

    def _rest(self, clients: Clients) -> None:
        self._say(f"all rest for {self._plan.idle_seconds:g} s")
        groups: list[Sequence[int]] = [self._hub.pids(), [self._redis_pid], clients.pids()]
        began, before = time.monotonic(), [cpu_seconds(group) for group in groups]
        pause(self._plan.idle_seconds)
        after = [cpu_seconds(group) for group in groups]
        seconds = time.monotonic() - began
        shares = [(b - a) / seconds for a, b in zip(before, after, strict=True)]
        self.results.rest = Rest(seconds, *shares)

    def _to_all(self, clients: Clients) -> None:
        self._say("one message to all")
        groups = self._hub.pids(), clients.pids()
        before = [cpu_seconds(group) for group in groups]
        began, report = self._reach_all(clients)
        pause(SETTLE_SECONDS)
        costs = [cpu_seconds(group) - was for group, was in zip(groups, before, strict=True)]
        seconds = report.received[self.results.published - 1][1] - began
        self.results.to_all.append(ToAll(seconds, *costs))

    def _reach_all(self, clients: Clients) -> tuple[float, Report]:
        """Publishes, and returns when that began, and the report when all have it."""
        began = time.monotonic()
        self._publish()
        return began, self._wait(clients, "all have the message", self._all_have, ALL_HAVE_SECONDS)

    def _kill(self, clients: Clients) -> None:
        self._say("a worker is killed")
        before = clients.report(self.results.published)
        victim = self._hub.workers()[0]
        began = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        self._publish()
        report = self._wait(clients, "all are back after the kill", self._all_have, BACK_SECONDS)
        last_read = report.received[self.results.published - 1][1]
        self.results.killed = Killed(
            streams=report.cut - before.cut,
            seconds=max(report.last_opened_at, last_read) - began,
            most=max(sockets_of(pid) for pid in self._hub.workers()),
        )

    def _roll(self, clients: Clients) -> None:
        self._say("rolling restart")
        before, old = clients.report(self.results.published), self._hub.workers()
        published = self.results.published
        began = due = time.monotonic()
        live_at = ended_at = 0.0
        settled = False

        def publish_if_due() -> int:
            nonlocal due
            if time.monotonic() >= due and not settled:
                self._publish()
                due += self._plan.every_seconds
            return self.results.published

        def all_replaced(report: Report) -> bool:
            nonlocal live_at, ended_at, settled
            now = time.monotonic()
            live_at = live_at or (now if ROLLED in self._hub.log() else 0.0)
            if not ended_at and not alive(old):
                ended_at = now
            settled = settled or bool(ended_at and report.open == self._plan.streams)
            return settled and self._all_have(report)

        self._hub.signal(signal.SIGHUP)
        patience = self._plan.drain_seconds + BACK_SECONDS
        what = "all are back after the rolling restart"
        report = clients.wait_for(what, all_replaced, patience, publish_if_due)
        self.results.rolled = Rolled(
            live_seconds=live_at - began,
            back_seconds=report.last_opened_at - began,
            seconds=ended_at - began,
            messages=self.results.published - published,
            cut=report.cut - before.cut,
            full_bytes=memory_bytes(self._hub.pids()),
        )

    def _end(self, clients: Clients) -> None:
        self._say("the end")
        before = clients.report(self.results.published)
        clients.leave()
        began = time.monotonic()
        self._hub.signal(signal.SIGTERM)
        deadline = began + self._plan.drain_seconds + BACK_SECONDS
        while (code := self._hub.exit_code()) is None:
            pause(0.02)
            if time.monotonic() > deadline:
                raise BenchError("the hub does not end")
        seconds = time.monotonic() - began
        report = self.results.report = clients.report(self.results.published)
        cut = report.cut - before.cut
        self.results.ended = Ended(seconds, code, report.ended - before.ended, cut)

    # -- what they share

    def _publish(self) -> None:
        self._redis.publish(CHANNEL, message(self.results.published))
        self.results.published += 1

    def _all_have(self, report: Report) -> bool:
        """Whether all streams are open and have the newest message."""
        streams = self._plan.streams
        count, _ = report.received.get(self.results.published - 1, (0, 0.0))
        return report.open == streams and count >= streams and not report.missing

    def _wait(
        self, clients: Clients, what: str, done: Callable[[Report], bool], seconds: float
    ) -> Report:
        def published() -> int:
            self._hub.require_alive()
            return self.results.published

        self.results.report = clients.wait_for(what, done, seconds, published)
        return self.results.report


def pause(seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        interrupt.check()
        time.sleep(min(left, 0.1))
