"""Fixtures of all tests: a private real Redis, and the real hub on it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser import browser, dashboard, open_dashboard, site  # noqa: F401
from tests.servers import HubProcess, RedisServer


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Any:
    """Shows what the servers wrote when a test failed."""
    report = yield
    for hub in getattr(item, "hubs", []):
        report.sections.append(("output of the hub", hub.log()))
    return report


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture
def start_hub(
    request: pytest.FixtureRequest, redis_server: RedisServer
) -> Iterator[Callable[..., HubProcess]]:
    """Starts a hub on `redis_server`, with settings as keywords; ended with the test."""
    hubs: list[HubProcess] = []
    request.node.hubs = hubs

    def start(**settings: Any) -> HubProcess:
        hub = HubProcess(settings.pop("redis_url", redis_server.url), **settings)
        hubs.append(hub)
        return hub

    yield start
    for hub in hubs:
        hub.close()


@pytest.fixture
def hub(start_hub: Callable[..., HubProcess]) -> HubProcess:
    return start_hub()
