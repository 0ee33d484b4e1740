"""Errors of Redis: one base, which is a ConnectionError."""

import pickle

import pytest

from relay.broker.errors import RedisError, RedisUnavailable, SubscriptionRefused


@pytest.mark.parametrize(
    "error",
    [RedisUnavailable("no"), RedisUnavailable("no", refused=True), SubscriptionRefused("no")],
)
def test_every_error_is_a_redis_error_and_a_connection_error(error: Exception) -> None:
    assert isinstance(error, RedisError)
    assert isinstance(error, ConnectionError)
    assert str(error) == "no"


@pytest.mark.parametrize("refused", [True, False])
def test_an_error_survives_the_way_to_another_process(refused: bool) -> None:
    """Task queues pickle what a task raises."""
    error = pickle.loads(pickle.dumps(RedisUnavailable("no", refused=refused)))
    assert (str(error), error.refused) == ("no", refused)
