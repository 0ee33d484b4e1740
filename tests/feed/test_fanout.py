"""The fan-out, with writers and an event loop that the test moves by hand."""

import json
import random

import pytest

from relay.engine.stream import Owner
from relay.feed.fanout import SLICE
from relay.feed.subscriber import Subscriber
from relay.feed.writer import Chunk
from tests.support.core import FakeWriter, FanoutBench


class Bench(FanoutBench):
    """A ring and its fan-out, with numbered messages."""

    def __init__(self, entries: int = 1000, chunk_bytes: int = 1000) -> None:
        super().__init__(entries, chunk_bytes)
        self.sent = 0

    def join(self, writer: FakeWriter) -> Subscriber:
        return self.fanout.join(writer, self.ring.end_place)

    def publish(self, number: int = 1) -> None:
        for _ in range(number):
            self.sent += 1
            self.feed.receive(b"%d" % self.sent, 0)
        self.fanout.wake()


def numbers(body: bytes) -> list[int | str]:
    """The messages of a body by number; a gap as "gap N"."""
    found: list[int | str] = []
    for frame in body.split(b"\n\n")[:-1]:
        if b"event: hub.gap" in frame:
            found.append(f"gap {json.loads(frame.split(b'data: ')[1])['missed']}")
        elif b"data: " in frame:
            found.append(int(frame.split(b"data: ")[1]))
    return found


def test_one_turn_is_one_chunk_that_everybody_shares() -> None:
    bench = Bench()
    writers = [FakeWriter() for _ in range(3)]
    for writer in writers:
        bench.join(writer)
    bench.publish(2)
    bench.publish(1)
    assert not writers[0].chunks
    bench.loop.run()
    assert [len(w.chunks) for w in writers] == [1, 1, 1]
    assert writers[0].chunks[0] is writers[1].chunks[0] is writers[2].chunks[0]
    assert numbers(writers[0].body) == [1, 2, 3]


def test_a_chunk_is_bounded() -> None:
    bench = Bench(chunk_bytes=100)
    writer = FakeWriter()
    bench.join(writer)
    bench.publish(100)
    bench.loop.run()
    assert numbers(writer.body) == list(range(1, 101))
    assert max(len(chunk.body) for chunk in writer.chunks) <= 100


def test_a_pass_is_sliced_and_later_messages_stay_in_order() -> None:
    bench = Bench()
    writers = [FakeWriter() for _ in range(2 * SLICE + 1)]
    for writer in writers:
        bench.join(writer)
    bench.publish()
    bench.loop.turn()
    assert [bool(w.chunks) for w in (writers[0], writers[SLICE - 1], writers[SLICE])] == [
        True,
        True,
        False,
    ]
    bench.publish()
    late = FakeWriter()
    bench.join(late)
    bench.publish()
    bench.loop.run()
    assert all(numbers(w.body) == [1, 2, 3] for w in writers)
    assert numbers(late.body) == [3]


def test_a_new_subscriber_gets_later_messages_only() -> None:
    bench = Bench()
    bench.publish(5)
    writer = FakeWriter()
    bench.join(writer)
    bench.publish(2)
    bench.loop.run()
    assert numbers(writer.body) == [6, 7]


def test_a_full_writer_is_left_alone_and_caught_up_when_it_drains() -> None:
    bench = Bench()
    slow, quick = FakeWriter(room=1), FakeWriter()
    bench.join(slow)
    bench.join(quick)
    for _ in range(10):
        bench.publish()
        bench.loop.run()
    assert numbers(slow.body) == [1]
    assert numbers(quick.body) == list(range(1, 11))
    slow.drain(1)
    bench.publish()
    bench.loop.run()
    assert numbers(slow.body) == list(range(1, 11))
    slow.drain(100)
    bench.publish()
    bench.loop.run()
    assert numbers(slow.body) == list(range(1, 13))


def test_a_client_behind_the_ring_gets_a_gap_with_the_exact_number() -> None:
    bench = Bench(entries=5)
    slow = FakeWriter(room=1)
    bench.join(slow)
    for _ in range(20):
        bench.publish()
        bench.loop.run()
    bench.feed.heartbeat(0)
    slow.drain(100)
    bench.loop.run()
    assert numbers(slow.body) == [1, "gap 15", 17, 18, 19, 20]
    assert bench.stats.gaps_slow_client == 1


def test_a_burst_larger_than_the_ring_is_a_gap_for_current_subscribers() -> None:
    bench = Bench(entries=5)
    writer = FakeWriter()
    bench.join(writer)
    bench.publish(8)
    bench.loop.run()
    bench.publish(1)
    bench.loop.run()
    assert numbers(writer.body) == ["gap 3", 4, 5, 6, 7, 8, 9]


def test_a_client_that_takes_nothing_is_cut_and_a_slow_one_is_not() -> None:
    bench = Bench()
    stuck, slow = FakeWriter(room=1), FakeWriter(room=1)
    for writer in (stuck, slow):
        bench.join(writer)
    bench.publish(5)
    bench.loop.run()
    for second in range(31):
        bench.loop.now = float(second)
        slow.room -= 1  # the client took a little
        bench.fanout.cut_stalled(30)
    assert (stuck.aborted, slow.aborted) == (True, False)
    assert len(bench.fanout) == 1
    assert bench.stats.streams_cut == 1


def test_a_fanout_is_looked_at_only_while_somebody_is_behind() -> None:
    bench = Bench()
    slow = FakeWriter(room=1)
    bench.join(slow)
    bench.laggards.cut_stalled(30)
    assert len(bench.laggards) == 0
    bench.publish(5)
    bench.loop.run()
    bench.laggards.cut_stalled(30)
    assert len(bench.laggards) == 1
    slow.drain(5)
    bench.laggards.cut_stalled(30)
    assert len(bench.laggards) == 0


def test_who_stalls_is_found_by_the_fanouts_that_are_looked_at() -> None:
    bench = Bench()
    stuck, other = FakeWriter(room=1), FakeWriter()
    for writer in (stuck, other):
        bench.join(writer)
    bench.publish(5)
    bench.loop.run()
    for second, is_cut in ((0, False), (29, False), (30, True)):
        bench.loop.now = float(second)
        bench.laggards.cut_stalled(30)
        assert (stuck.aborted, other.aborted) == (is_cut, False)
    assert len(bench.laggards) == 0


def test_finish_gives_each_stream_its_own_last_frame() -> None:
    bench = Bench()
    writers = [FakeWriter(), FakeWriter(room=1)]
    for writer in writers:
        bench.join(writer)
    bench.publish()
    bench.loop.run()
    bodies = iter([b"one", b"two"])
    bench.fanout.finish(lambda: next(bodies))
    assert [w.chunks[-1].body for w in writers] == [b"one", b"two"]
    assert all(w.finished for w in writers)
    assert len(bench.fanout) == 0


def test_a_subscriber_that_leaves_during_a_pass_gets_nothing_more() -> None:
    bench = Bench()
    writers = [FakeWriter() for _ in range(SLICE + 1)]
    subscribers = [bench.join(writer) for writer in writers]
    bench.publish()
    bench.loop.turn()
    bench.fanout.leave(subscribers[-1])
    bench.fanout.leave(subscribers[-1])
    bench.loop.run()
    assert not writers[-1].chunks


def test_random_schedules_lose_nothing_without_a_gap() -> None:
    for seed in range(300):
        rng = random.Random(seed)
        bench = Bench(entries=rng.choice([3, 20, 500]), chunk_bytes=rng.choice([20, 100, 5000]))
        joined: list[tuple[FakeWriter, int]] = []
        for _ in range(rng.randrange(20, 200)):
            what = rng.random()
            if what < 0.1:
                writer = FakeWriter(rng.choice([1, 3, float("inf")]))
                joined.append((writer, bench.sent))
                bench.join(writer)
            elif what < 0.6:
                bench.publish(rng.choice([1, 1, 5, 30]))
            elif what < 0.8:
                bench.loop.turn()
            elif joined:
                rng.choice(joined)[0].drain(rng.choice([1, 2, float("inf")]))
        for writer, _ in joined:
            writer.drain(float("inf"))
        bench.loop.run()
        for writer, before in joined:
            position = before
            for item in numbers(writer.body):
                position += int(item[4:]) if isinstance(item, str) else 1
                assert isinstance(item, str) or item == position, f"seed {seed}"
            assert position == bench.sent, f"seed {seed}"


class BrokenWriter(FakeWriter):
    """A writer whose methods raise, from a moment on."""

    broken = False

    def send(self, chunk: Chunk) -> bool:
        if self.broken:
            raise RuntimeError("a bug of a writer")
        return super().send(chunk)

    def finish(self, chunk: Chunk) -> None:
        raise RuntimeError("a bug of a writer")

    def progress(self) -> object:
        raise RuntimeError("a bug of a writer")


def test_a_writer_that_raises_costs_its_own_stream_alone(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    broken = BrokenWriter()
    writers = [FakeWriter(), broken, FakeWriter()]
    subscribers = [bench.join(writer) for writer in writers]
    subscribers[1].belongs_to(["news"], Owner("7", "192.0.2.1"), 17)
    broken.broken = True
    for _ in range(3):
        bench.publish()
        bench.loop.run()
    assert [numbers(w.body) for w in writers] == [[1, 2, 3], [], [1, 2, 3]]
    assert [w.aborted for w in writers] == [False, True, False]
    assert len(bench.fanout) == 2
    [record] = caplog.records
    ours = {"channels": ["news"], "user": "7", "client": "192.0.2.1"}
    assert {name: record.__dict__[name] for name in ours} == ours
    assert record.__dict__["stream"] == subscribers[1].log_fields()["stream"]
    assert len({subscriber.log_fields()["stream"] for subscriber in subscribers}) == 3


def test_a_writer_that_raises_while_it_is_behind_is_cut_as_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    slow, stalled, other = BrokenWriter(room=1), BrokenWriter(room=1), FakeWriter()
    for writer in (slow, stalled, other):
        bench.join(writer)
    bench.publish(2)
    bench.loop.run()
    slow.broken = True
    bench.publish(2)
    bench.loop.run()
    slow.drain(5)
    bench.fanout.cut_stalled(30)
    bench.fanout.finish(lambda: b"end")
    assert (slow.aborted, stalled.aborted, other.finished) == (True, True, True)
    assert len(bench.fanout) == 0
