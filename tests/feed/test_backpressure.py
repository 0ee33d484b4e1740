"""Flow control from Redis: reading stops while a fan-out is crowded, and goes on when none is."""

from collections.abc import Callable

import pytest

from relay.feed.backpressure import Backpressure
from relay.feed.fanout import Fanout
from relay.feed.feed import Feed
from relay.feed.ring import Ring
from tests.support.core import FakeWriter, HandClock, make_context, make_feed

READ_BYTES = 64 * 1024


class Tap:
    """A connection that counts calls."""

    def __init__(self) -> None:
        self.reading = True
        self.calls: list[str] = []

    def pause(self) -> None:
        self.reading = False
        self.calls.append("pause")

    def resume(self) -> None:
        self.reading = True
        self.calls.append("resume")


def test_reading_goes_on_when_the_last_crowded_fanout_is_done() -> None:
    backpressure, tap = Backpressure(), Tap()
    backpressure.control("a listener", tap)
    backpressure.pause_for("a")
    backpressure.pause_for("b")
    backpressure.pause_for("a")
    backpressure.resume_for("c")
    backpressure.resume_for("a")
    assert (tap.calls, backpressure.paused) == (["pause"], True)
    backpressure.resume_for("b")
    backpressure.resume_for("b")
    assert (tap.calls, backpressure.paused) == (["pause", "resume"], False)


def test_another_connection_is_paused_at_once_and_the_old_one_reads_to_its_end() -> None:
    backpressure, old, new = Backpressure(), Tap(), Tap()
    backpressure.control("a listener", old)
    backpressure.pause_for("a")
    backpressure.control("a listener", new)
    assert (old.reading, new.reading) == (True, False)
    backpressure.resume_for("a")
    assert (old.calls, new.calls) == (["pause", "resume"], ["pause", "resume"])


@pytest.mark.parametrize("noise", [False, True])
def test_a_small_message_elsewhere_does_not_undo_the_pause_of_a_busy_channel(noise: bool) -> None:
    """Two channels, 4,096 clients of the busy one that take everything, one full read a turn."""
    clock, tap = HandClock(), Tap()
    context = make_context(clock)
    context.backpressure.control("a listener", tap)

    def channel(name: str) -> tuple[Feed, Callable[[], None]]:
        ring = Ring(context.settings.ring_events, 1024 * 1024)
        feed = make_feed(ring, name, context.stats)
        feed.mark(1, 0)
        Fanout(feed, context).wake()
        return feed, feed.readers.wake

    busy, wake_busy = channel("busy")
    quiet, wake_quiet = channel("quiet")
    fanout = Fanout(busy, context)
    for _ in range(4096):
        fanout.join(FakeWriter(), busy.ring.end_place)
    reads = 0
    for _ in range(400):
        if tap.reading:
            reads += 1
            for _ in range(READ_BYTES // 1024):
                busy.receive(b"x" * 1024, 0)
            wake_busy()
            if noise:
                quiet.receive(b"hi", 0)
                wake_quiet()
        clock.turn()
    assert (context.stats.gaps_slow_client, reads < 200) == (0, True)
    clock.run()
    assert tap.reading
