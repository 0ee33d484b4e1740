"""What a process reports of itself: its counters, and a rate over the last seconds."""

import os
import socket
from collections.abc import Callable

from relay.control.report import Report, State
from relay.engine.reporter import Reporter
from relay.stats import Stats
from relay.version import __version__


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def call_soon(self, callback: Callable[..., object], *args: object) -> object:
        raise AssertionError("nothing is scheduled")

    def call_at(self, when: float, callback: Callable[..., object], *args: object) -> object:
        raise AssertionError("nothing is scheduled")

    def time(self) -> float:
        return self.seconds

    def now_ms(self) -> int:
        return 1_790_000_000_000 + round(self.seconds * 1000)


def test_a_report_has_the_counters_of_the_process() -> None:
    stats = Stats(messages=5, streams_open=3, streams_opened=9)
    stats.gaps_slow_client, stats.gaps_resume, stats.gaps_redis_lost = 1, 20, 300
    reporter = Reporter(stats, Clock())  # type: ignore[arg-type]
    assert reporter.report(State.LOST, 7) == Report(
        socket.gethostname(),
        os.getpid(),
        __version__,
        State.LOST,
        1_790_000_100_000,
        streams=3,
        channels=7,
        messages=5,
        messages_per_second=None,
        gaps=321,
    )


def test_the_rate_is_that_of_the_last_five_to_twenty_seconds() -> None:
    stats, clock = Stats(messages=1_000), Clock()
    reporter = Reporter(stats, clock)  # type: ignore[arg-type]
    rates = []
    for seconds, messages in [(4.5, 0), (0.5, 500), (1, 0), (9, 900), (0.5, 100), (10, 0), (10, 0)]:
        clock.seconds += seconds
        stats.messages += messages
        rates.append(reporter.report(State.LIVE, 1).messages_per_second)
    assert rates == [
        None,
        100.0,  # 500 in 5 s
        83.3,  # in 6 s
        90.0,  # 900 in the last 10 s
        95.2,  # 1,000 in 10.5 s
        9.5,  # 100 in the last 10.5 s
        0.0,
    ]
