"""What a process reports of itself: its counters, and a rate over the last seconds."""

import os
import socket
from typing import cast

from relay.clock import Clock
from relay.control.report import Report, State
from relay.engine.reporter import Reporter
from relay.stats import Stats
from relay.version import __version__
from tests.support.core import HandClock


def reporter_at(clock: HandClock, stats: Stats) -> Reporter:
    return Reporter(stats, cast(Clock, clock))


def test_a_report_has_the_counters_of_the_process() -> None:
    clock = HandClock()
    clock.now = 1_790_000_100.0
    stats = Stats(messages=5, streams_open=3, streams_opened=9)
    stats.gaps_slow_client, stats.gaps_resume, stats.gaps_redis_lost = 1, 20, 300
    reporter = reporter_at(clock, stats)
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
    stats, clock = Stats(messages=1_000), HandClock()
    reporter = reporter_at(clock, stats)
    rates = []
    for seconds, messages in [(4.5, 0), (0.5, 500), (1, 0), (9, 900), (0.5, 100), (10, 0), (10, 0)]:
        clock.now += seconds
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
