"""Fixtures of the tests of access: a site with users, and one hub of it for a module."""

from collections.abc import Iterator

import pytest

from tests.support.servers import HubProcess, RedisServer
from tests.support.site import MakeSite, Site

CHANNELS = (
    "news orders.*=signed-in user.{user_id}=owner audit=perm:sessions.view_session"
    " ann=tests.support.rules.named_ann bob=tests.support.rules.named_bob broken=tests.support.rules.broken"
)


@pytest.fixture(scope="module")
def site(make_site: MakeSite) -> Site:
    return make_site(RELAY_CHANNELS=CHANNELS)


@pytest.fixture(scope="module")
def served(site: Site) -> Iterator[HubProcess]:
    redis_server = RedisServer()
    hub = HubProcess(redis_server.url, **site.env, RELAY_ALLOWED_ORIGINS="https://app.example.com")
    yield hub
    hub.close()
    redis_server.close()
