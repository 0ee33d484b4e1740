"""What a process did between two moments: rates, and how late it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relay.stats import LAG_BOUNDS, Stats

LATE = 0.99
"""The share of what was observed that is not later than `lag_ms` and the like."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The counters of a process at one moment. `time` and `cpu` are seconds."""

    time: float
    cpu: float
    messages: int
    received_bytes: int
    sent_messages: int
    lag: Sequence[int]
    round_trip: Sequence[int]
    loop_delay: Sequence[int]

    @classmethod
    def of(cls, stats: Stats, time: float, cpu: float, reports: int) -> "Sample":
        """Returns the sample of this moment. `reports` are messages for operators, which do not count."""
        return cls(
            time,
            cpu,
            stats.messages - reports,
            stats.received_bytes,
            stats.sent_messages,
            list(stats.lag.counts),
            list(stats.round_trip.counts),
            list(stats.loop_delay.counts),
        )

    def since(self, before: "Sample") -> Mapping[str, float | None]:
        """Returns rates per second, the share of a core, and times in ms; None for what was not observed."""
        seconds = max(self.time - before.time, 0.001)
        return {
            "messages_per_second": _rounded((self.messages - before.messages) / seconds),
            "received_bytes_per_second": _rounded(
                (self.received_bytes - before.received_bytes) / seconds
            ),
            "sent_per_second": _rounded((self.sent_messages - before.sent_messages) / seconds),
            "cpu": round((self.cpu - before.cpu) / seconds, 3),
            "lag_ms": late_ms(before.lag, self.lag),
            "round_trip_ms": late_ms(before.round_trip, self.round_trip),
            "loop_ms": late_ms(before.loop_delay, self.loop_delay),
        }


def late_ms(before: Sequence[int], now: Sequence[int]) -> float | None:
    """Returns the bound in ms under which LATE of the durations lie that were observed in between.

    The last bucket has no bound; for it this is the bound below.
    """
    new = [b - a for a, b in zip(before, now, strict=True)]
    if not any(new):
        return None
    wanted, seen = sum(new) * LATE, 0
    for bound, number in zip((*LAG_BOUNDS, LAG_BOUNDS[-1]), new, strict=True):
        seen += number
        if seen >= wanted:
            return bound * 1000
    raise AssertionError("all of them were counted")


def _rounded(number: float) -> float:
    return max(round(number, 1), 0.0)
