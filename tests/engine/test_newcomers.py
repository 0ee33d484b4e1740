"""How many new channels clients may bring up."""

from dataclasses import replace

import pytest

from relay import conf
from relay.engine.newcomers import Newcomers
from relay.engine.stream import Full


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now


def newcomers(clock: Clock, **limits: int) -> Newcomers:
    zero = {"new_channels_per_minute": 0, "new_channels_per_address": 0, "max_channels": 10}
    return Newcomers(replace(conf.load(), **{**zero, **limits}), clock)  # type: ignore[arg-type]


def test_all_may_come_back_at_once_and_then_so_many_a_minute() -> None:
    clock = Clock()
    one = newcomers(clock, new_channels_per_minute=6)
    one.take("a", 10)
    with pytest.raises(Full):
        one.take("b", 1)
    one.take("b", 0)
    clock.now = 10
    one.take("b", 1)
    with pytest.raises(Full):
        one.take("b", 1)


def test_each_address_has_a_limit_of_its_own() -> None:
    clock = Clock()
    one = newcomers(clock, new_channels_per_address=60)
    one.take("a", 60)
    with pytest.raises(Full):
        one.take("a", 1)
    one.take("b", 60)
    clock.now = 1
    one.take("a", 1)


def test_without_limits_none_is_counted() -> None:
    newcomers(Clock()).take("a", 10_000)
