"""The figures that are measured, and the targets of the hub."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """`heading` names the unit; `digits` are shown after the point."""

    heading: str
    digits: int = 0
    has_ratio: bool = True

    def show(self, value: float) -> str:
        return "–" if math.isnan(value) else f"{value:,.{self.digits}f}"


FIGURES = {
    "cpu_us": Figure("CPU µs per delivery", 2),
    "off_cpu_us": Figure("history off", 2),
    "history_ratio": Figure("history on ÷ off", 3, has_ratio=False),
    "p50_ms": Figure("p50 ms", 1),
    "p99_ms": Figure("p99 ms", 1),
    "max_ms": Figure("slowest ms", 1, has_ratio=False),
    "deliveries_per_s": Figure("deliveries/s"),
    "messages_per_s": Figure("messages/s"),
    "messages_per_cpu_s": Figure("messages per CPU second"),
    "all_live_s": Figure("s until all are live", 2),
    "back_us": Figure("CPU µs per stream"),
    "peak_kib": Figure("KiB per stream at the most", 1, has_ratio=False),
    "history_reads": Figure("reads of the history", has_ratio=False),
    "open_us": Figure("CPU µs per opened stream"),
    "memory_kib": Figure("KiB per stream", 1),
    "open_ratio": Figure("opening, last ÷ first round", 3, has_ratio=False),
    "cpu_ratio": Figure("delivery, last ÷ first round", 3, has_ratio=False),
    "close_us": Figure("CPU µs per closed stream"),
    "idle_percent": Figure("% of a core when idle", 2, has_ratio=False),
}


@dataclass(frozen=True, slots=True)
class Target:
    """A limit that the hub must keep. A `ratio` is to nchan in the same run."""

    scenario: str
    figure: str
    limit: float
    at_least: bool = False
    ratio: bool = False

    def held(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


TARGETS = (
    Target("live-100", "cpu_us", 1.0, ratio=True),
    Target("live-1000", "cpu_us", 0.75, ratio=True),
    Target("live-1000", "p99_ms", 0.85, ratio=True),
    Target("live-5000", "cpu_us", 0.75, ratio=True),
    Target("live-5000", "p99_ms", 0.85, ratio=True),
    Target("live-10000", "cpu_us", 0.75, ratio=True),
    Target("live-10000", "p99_ms", 0.85, ratio=True),
    Target("history-100", "history_ratio", 1.05),
    Target("history-1000", "history_ratio", 1.05),
    Target("history-5000", "history_ratio", 1.05),
    Target("burst", "deliveries_per_s", 30, at_least=True, ratio=True),
    Target("ingest", "messages_per_s", 150_000, at_least=True),
    Target("resume", "all_live_s", 3),
    Target("resume-elsewhere", "all_live_s", 5),
    Target("idle", "open_us", 70),
    Target("idle", "memory_kib", 1.5),
    Target("idle", "idle_percent", 0.8),
    Target("idle", "close_us", 20),
    Target("channels", "open_us", 500),
    Target("channels", "memory_kib", 16),
    Target("channels", "idle_percent", 1.5),
    Target("rounds", "open_us", 80),
    Target("rounds", "open_ratio", 1.1),
    Target("rounds", "cpu_ratio", 1.05),
)
