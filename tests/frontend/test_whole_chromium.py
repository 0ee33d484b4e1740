"""The dashboard in the whole Chromium, windows and all; the other tests use its shell, which costs less."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from bench.dashboard import BROWSERS
from tests.support.browser import Dashboard, OpenDashboard, launched
from tests.support.servers import HubProcess, RedisServer

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched(BROWSERS) as chromium, chromium.borrowed() as browser:
        yield browser


def test_messages_come_before_and_after_the_hub_was_away(
    open_dashboard: OpenDashboard, hub: HubProcess, redis_server: RedisServer
) -> None:
    dashboard: Dashboard = open_dashboard(hub)
    redis_server.publish("first message")
    expect(dashboard.row("first message")).to_have_count(1)
    hub.stop()
    expect(dashboard.status).not_to_have_text("Live")
    hub.start()
    expect(dashboard.status).to_have_text("Live")
    redis_server.publish("second message")
    expect(dashboard.row("second message")).to_have_count(1)
    expect(dashboard.row("first message")).to_have_count(1)
