"""What a fan-out counts of its passes: exactly what the writers were given, and how late."""

import random

from relay.feed.fanout import SLICE
from relay.stats import LAG_BOUNDS, STALL_SECONDS, Histogram, Stats
from tests.support.core import FakeWriter, FanoutBench


class Bench(FanoutBench):
    """A fan-out, and all writers that were ever given to it."""

    def __init__(self, entries: int = 1000, chunk_bytes: int = 1000) -> None:
        super().__init__(entries, chunk_bytes)
        self.writers: list[FakeWriter] = []

    def join(self, room: float = float("inf")) -> FakeWriter:
        self.writers.append(FakeWriter(room))
        self.fanout.join(self.writers[-1], self.ring.end_place)
        return self.writers[-1]

    def publish(self, number: int = 1) -> None:
        for _ in range(number):
            self.feed.receive(b"x", self.loop.now_ms())
        self.fanout.wake()

    def given(self) -> tuple[int, int]:
        """The messages and bytes that the writers were given."""
        bodies = [writer.body for writer in self.writers]
        return sum(b.count(b"data: x\n") for b in bodies), sum(map(len, bodies))

    def counted(self) -> tuple[int, int]:
        return self.stats.sent_messages, self.stats.sent_bytes


def test_a_message_counts_once_for_each_stream_in_every_slice() -> None:
    bench = Bench()
    for _ in range(2 * SLICE + 7):
        bench.join()
    bench.publish(3)
    bench.loop.run()
    assert bench.stats.sent_messages == 3 * (2 * SLICE + 7)
    assert bench.counted() == bench.given()
    assert (bench.stats.messages, bench.stats.received_bytes) == (3, 3)


def test_what_each_stream_was_given_is_what_is_counted_in_any_order_of_events() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        bench = Bench(rng.choice([3, 20, 500]), rng.choice([20, 100, 5000]))
        subscribers = []
        for _ in range(rng.randrange(20, 200)):
            what = rng.random()
            if what < 0.2:
                writer = FakeWriter(rng.choice([1, 3, float("inf")]))
                bench.writers.append(writer)
                subscribers.append(bench.fanout.join(writer, bench.ring.end_place))
            elif what < 0.6:
                bench.publish(rng.choice([1, 1, 5, 30]))
            elif what < 0.65:
                bench.feed.heartbeat(0)
                bench.fanout.wake()
            elif what < 0.8:
                bench.loop.turn()
            elif what < 0.85 and subscribers:
                bench.fanout.leave(rng.choice(subscribers))
            elif bench.writers:
                rng.choice(bench.writers).drain(rng.choice([1, 2, float("inf")]))
        bench.loop.run()
        assert bench.counted() == bench.given(), f"seed {seed}"
        gaps = sum(writer.body.count(b"event: hub.gap") for writer in bench.writers)
        assert bench.stats.gaps["slow-client"] == bench.stats.gaps_slow_client == gaps


def test_the_lag_of_a_pass_is_that_of_its_oldest_message_until_the_last_stream() -> None:
    bench = Bench()
    for _ in range(SLICE + 1):
        bench.join()
    bench.publish()
    bench.loop.now = 0.2
    bench.publish()  # in the same pass
    bench.loop.turn()
    assert bench.stats.lag.count == 0  # the second slice is to come
    bench.loop.now = 0.7
    bench.loop.run()
    assert (bench.stats.lag.count, bench.stats.lag.sum_seconds) == (1, 0.7)


def test_what_comes_during_a_pass_counts_from_its_own_receipt() -> None:
    bench = Bench()
    for _ in range(SLICE + 1):
        bench.join()
    bench.publish()
    bench.loop.turn()
    bench.loop.now = 1.0
    bench.publish()
    bench.loop.run()
    assert (bench.stats.lag.count, bench.stats.lag.sum_seconds) == (2, 1.0)


def test_what_a_pass_leaves_over_counts_from_its_own_receipt() -> None:
    bench = Bench(chunk_bytes=30)  # one message
    bench.join()
    bench.publish()
    bench.loop.now = 1.0
    bench.publish()
    bench.loop.now = 3.0
    bench.loop.run()
    assert (bench.stats.lag.count, bench.stats.lag.sum_seconds) == (2, 3.0 + 2.0)


def test_a_heartbeat_and_a_message_to_nobody_have_no_lag() -> None:
    bench = Bench()
    bench.publish()
    bench.loop.run()
    bench.join()
    bench.feed.heartbeat(0)
    bench.fanout.wake()
    bench.loop.run()
    assert bench.stats.lag.count == 0
    assert bench.stats.sent_messages == 0


def test_a_bound_belongs_to_the_bucket_below_it() -> None:
    histogram = Histogram()
    for seconds in (0.0, LAG_BOUNDS[0], LAG_BOUNDS[0] * 1.01, LAG_BOUNDS[-1], 1e9):
        histogram.observe(seconds)
    assert histogram.counts == [2, 1, *[0] * 11, 1, 1]
    assert histogram.count == 5
    assert len(histogram.as_list()) == len(LAG_BOUNDS) + 2


def test_a_late_wake_up_is_a_stall_and_an_early_one_is_none() -> None:
    stats = Stats()
    for late in (-0.001, 0.0, STALL_SECONDS / 2, STALL_SECONDS, 5.0):
        stats.observe_tick(late)
    assert (stats.loop_stalls, stats.loop_delay.count) == (2, 5)
    assert stats.loop_delay.sum_seconds == STALL_SECONDS * 1.5 + 5.0
