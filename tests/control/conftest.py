"""Fixtures of the tests of kicks."""

import pytest
from pytest_django import Settings

from tests.support.kicks import layers
from tests.support.redis_versions import server  # noqa: F401
from tests.support.servers import RedisServer


@pytest.fixture
def url(redis_server: RedisServer, settings: Settings) -> str:
    """Of a Redis that is both the hub's and the layer's."""
    settings.REDIS_URL = redis_server.url
    settings.CHANNEL_LAYERS = layers(redis_server.url)
    return redis_server.url
