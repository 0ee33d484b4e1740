"""Pauses between attempts."""

import random

import pytest

from relay.broker.backoff import Backoff


def test_pauses_double_up_to_the_longest_and_begin_again_after_a_success() -> None:
    backoff = Backoff(0.5, 3.0, jitter=0.0)
    assert [backoff.next() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert [backoff.next() for _ in range(2)] == [0.5, 1.0]


@pytest.mark.parametrize("jitter", [0.2, 1.0])
def test_chance_shortens_a_pause_and_never_lengthens_it(jitter: float) -> None:
    random.seed(1)
    backoff = Backoff(8.0, 8.0, jitter)
    pauses = [backoff.next() for _ in range(1000)]
    assert 8.0 * (1 - jitter) <= min(pauses) < 8.0 * (1 - jitter) + 0.1 * 8.0 * jitter
    assert 8.0 - 0.1 * 8.0 * jitter < max(pauses) <= 8.0
