"""Fixtures of all tests: a private real Redis, the real hub on it, and a site with users."""

import gc
import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from tests.support.browser import browser, chromium, dashboard, open_dashboard, shared  # noqa: F401
from tests.support.firefox import firefox, visitor  # noqa: F401
from tests.support.proxy import client_hub, proxy  # noqa: F401
from tests.support.servers import HubProcess, RedisServer, StartHub, Taken, release_ports
from tests.support.site import MakeSite, Site, SiteTemplate
from tests.support.waiting import SLACK

SLOW_FIXTURES = {
    "start_hub",
    "hub",
    "served",
    "shared",
    "browser",
    "firefox",
    "image",
    "place",
    "keep",
    "wheel",
}
"""What starts a hub, a browser, or as much as they are."""

GROUPED_FIXTURES = {"served", "browser", "firefox", "image", "wheel"}
"""What is expensive to start and shared by a module, whose tests therefore stay in one process."""


def pytest_report_header() -> list[str]:
    return [] if SLACK == 1 else [f"promised times are widened by TEST_SLACK={SLACK:g}"]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Marks what is slow, and keeps together what shares a server."""
    fixtures = set(getattr(item, "fixturenames", ()))
    if fixtures & SLOW_FIXTURES or _simulated(item):
        item.add_marker("slow")
    if fixtures & GROUPED_FIXTURES:
        item.add_marker(pytest.mark.xdist_group("wheel" if "wheel" in fixtures else item.path.stem))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lets long tests begin first."""
    items.sort(key=lambda item: (not item.get_closest_marker("long"), not _simulated(item)))


def _simulated(item: pytest.Item) -> bool:
    return "simulation" in item.path.parts


def pytest_configure() -> None:
    """The password of a user of tests is no secret: it is hashed once, not a million times."""
    PBKDF2PasswordHasher.iterations = 1


def pytest_collection_finish() -> None:
    """What was collected stays until the end: the garbage collector need not look at it each time."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture(scope="module")
def redis_of_module() -> Iterator[RedisServer]:
    """For the tests of a module that share a hub."""
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture
def start_hub(request: pytest.FixtureRequest, redis_server: RedisServer) -> Iterator[StartHub]:
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
def hub(start_hub: StartHub) -> HubProcess:
    return start_hub()


@pytest.fixture
def taken(redis_server: RedisServer) -> Iterator[Taken]:
    """What has been published since the last time, on channels that begin with n, o, r or s."""
    with redis_server.client() as client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.psubscribe("[nors]*")
        pubsub.get_message(timeout=1)

        def take() -> list[tuple[str, bytes]]:
            client.publish("round", b"the end")
            found: list[tuple[str, bytes]] = []
            while (message := pubsub.get_message(timeout=5)) is not None:
                if message["channel"] == b"round":
                    return found
                found.append((message["channel"].decode(), message["data"]))
            raise AssertionError(f"only {found}")

        yield take


@pytest.fixture(scope="session")
def make_site(tmp_path_factory: pytest.TempPathFactory) -> MakeSite:
    own = tmp_path_factory.getbasetemp()
    template = SiteTemplate(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)

    def make(**settings: str) -> Site:
        return template.copy(tmp_path_factory.mktemp("site"), **settings)

    return make
