"""Heartbeats: every channel and group has its own time."""

from typing import cast

from relay.engine.delivery import Delivery
from relay.engine.heartbeats import Heartbeats
from tests.support.core import HandClock


class Beaten:
    """A delivery that notes when its heartbeats come."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self.times: list[float] = []

    def heartbeat(self, comment: bytes) -> None:
        assert comment == b":\n"
        self.times.append(self._clock.now)


class Stage:
    """Ticks of a second."""

    def __init__(self, seconds: float) -> None:
        self.clock = HandClock()
        self.heartbeats = Heartbeats(seconds, self.clock)

    def open(self) -> Beaten:
        beaten = Beaten(self.clock)
        self.heartbeats.add(cast(Delivery, beaten))
        return beaten

    def close(self, beaten: Beaten) -> None:
        self.heartbeats.remove(cast(Delivery, beaten))

    def tick(self, times: int) -> None:
        for _ in range(times):
            self.clock.now += 1.0
            self.heartbeats.send(self.clock.now + 0.5, b":\n")


def test_each_has_one_in_each_period() -> None:
    stage = Stage(15)
    opened = [stage.open() for _ in range(50)]
    stage.tick(45)
    for each in opened:
        first, second, third = each.times
        assert (second - first, third - second) == (15, 15)


def test_those_of_many_that_are_opened_at_once_are_spread() -> None:
    stage = Stage(10)
    opened = [stage.open() for _ in range(1000)]
    stage.tick(11)
    firsts = [each.times[0] for each in opened]
    assert all(50 <= firsts.count(second) <= 150 for second in range(2, 10)), firsts


def test_one_that_is_closed_has_none_any_more() -> None:
    stage = Stage(3)
    first, second = stage.open(), stage.open()
    stage.tick(3)
    stage.close(first)
    stage.close(first)
    stage.tick(6)
    assert (len(first.times), len(second.times)) == (1, 3)


def test_a_process_that_hung_sends_one_and_not_all_that_it_has_missed() -> None:
    stage = Stage(1)
    beaten = stage.open()
    stage.clock.now = 60.0
    stage.tick(3)
    assert beaten.times == [61, 62, 63]
