"""Measures the cost of a phase, and whether the server was its limit."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.process import (
    core_busy_seconds,
    cpu_seconds,
    forget_memory_peak,
    memory_bytes,
    memory_peak_bytes,
)
from bench.servers import Place


@dataclass(frozen=True, slots=True)
class Reading:
    """Clock and counters at one moment, in seconds."""

    at: float
    server_cpu: float
    server_core: float
    client_cpu: float
    client_core: float


@dataclass(frozen=True, slots=True)
class Cost:
    """The difference of two readings. Shares are of one core, from 0 to 1."""

    seconds: float
    cpu_seconds: float
    client_core: float
    """How busy it was with any program."""
    others: float
    """The share that other programs took of the server's core or the client's, the greater one."""

    @property
    def server_core(self) -> float:
        """How busy the server was."""
        return min(self.cpu_seconds / self.seconds, 1.0)

    def __add__(self, other: "Cost") -> "Cost":
        """Returns the cost of both phases, with the greater of the shares."""
        return Cost(
            seconds=self.seconds + other.seconds,
            cpu_seconds=self.cpu_seconds + other.cpu_seconds,
            client_core=max(self.client_core, other.client_core),
            others=max(self.others, other.others),
        )


class Meter:
    """Measures some processes. `cost` is the use from `start` to the last `mark`."""

    def __init__(self, pids: Sequence[int], place: Place) -> None:
        self.pids = pids
        self._place = place
        self._first = self._last = self._read()

    def start(self) -> None:
        self._first = self._last = self._read()

    def mark(self) -> None:
        self._last = self._read()

    def memory(self) -> int:
        return memory_bytes(self.pids)

    def start_memory_peak(self) -> int:
        """Resets the peak of memory. Returns its present value."""
        forget_memory_peak(self.pids)
        return self.memory_peak()

    def memory_peak(self) -> int:
        return memory_peak_bytes(self.pids)

    def cost(self) -> Cost:
        first, last = self._first, self._last
        seconds = max(last.at - first.at, 1e-9)
        cpu = last.server_cpu - first.server_cpu
        client_core = last.client_core - first.client_core
        others = (
            last.server_core - first.server_core - cpu,
            client_core - (last.client_cpu - first.client_cpu),
        )
        return Cost(
            seconds=seconds,
            cpu_seconds=cpu,
            client_core=min(client_core / seconds, 1.0),
            others=max(*others, 0.0) / seconds,
        )

    def _read(self) -> Reading:
        return Reading(
            at=time.perf_counter(),
            server_cpu=cpu_seconds(self.pids),
            server_core=core_busy_seconds(self._place.server_core),
            client_cpu=cpu_seconds([os.getpid(), self._place.redis_pid]),
            client_core=core_busy_seconds(self._place.client_core),
        )
