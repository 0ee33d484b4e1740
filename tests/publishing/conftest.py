"""Fixtures of the tests of publishing."""

import pytest
from pytest_django import Settings

from tests.support.publish_site import CHANNELS
from tests.support.servers import RedisServer
from tests.support.tokens import TOKEN_KEY


@pytest.fixture
def publish_site(settings: Settings, redis_server: RedisServer) -> None:
    settings.REDIS_URL = redis_server.url
    settings.RELAY_CHANNELS = CHANNELS
    settings.RELAY_HTTP_PUBLISH = "1"
    settings.RELAY_TOKEN_KEY = TOKEN_KEY
