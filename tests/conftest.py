"""Fixtures of all tests: a private real Redis, and the real hub on it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.browser import browser, dashboard, open_dashboard, site  # noqa: F401
from tests.support.servers import HubProcess, RedisServer, Taken, release_ports


def pytest_unconfigure() -> None:
    release_ports()


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
def taken(redis_server: RedisServer) -> Iterator[Taken]:
    """What has been published since the last time, on channels that begin with n, o, r or s."""
    with redis_server.client() as client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.psubscribe("[nors]*")
        pubsub.get_message(timeout=1)

        def take() -> list[tuple[str, bytes]]:
            client.publish("round", b"the end")
            found = []
            while (message := pubsub.get_message(timeout=5)) is not None:
                if message["channel"] == b"round":
                    return found
                found.append((message["channel"].decode(), message["data"]))
            raise AssertionError(f"only {found}")

        yield take


@pytest.fixture
def hub(start_hub: Callable[..., HubProcess]) -> HubProcess:
    return start_hub()
