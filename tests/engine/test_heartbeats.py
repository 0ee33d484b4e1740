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


def test_each_has_its_own_time() -> None:
    stage = Stage(15)
    opened = []
    for _ in range(5):
        opened.append(stage.open())
        stage.tick(2)
    stage.tick(26)  # 36 seconds
    assert [each.times for each in opened] == [[15 + n, 30 + n] for n in (0, 2, 4, 6)] + [[23]]


def test_one_that_is_closed_has_none_any_more() -> None:
    stage = Stage(3)
    first, second = stage.open(), stage.open()
    stage.tick(4)
    stage.close(first)
    stage.close(first)
    stage.tick(4)
    assert (first.times, second.times) == ([3], [3, 6])


def test_a_process_that_hung_sends_one_and_not_all_that_it_has_missed() -> None:
    stage = Stage(1)
    beaten = stage.open()
    stage.clock.now = 60.0
    stage.tick(3)
    assert beaten.times == [61, 62, 63]
