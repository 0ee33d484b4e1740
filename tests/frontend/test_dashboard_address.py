"""The dashboard in a real Chromium: what its address says, and the past that it begins with."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.browser import Dashboard, OpenDashboard
from tests.support.servers import HubProcess, RedisServer, StartHub

pytestmark = pytest.mark.browser


@pytest.fixture
def hub(start_hub: StartHub) -> HubProcess:
    return start_hub(RELAY_CHANNELS="news orders.* desk=signed-in")


@pytest.fixture
def dashboard(open_dashboard: OpenDashboard, hub: HubProcess) -> Dashboard:
    return open_dashboard(hub)


def test_a_reload_loses_nothing(dashboard: Dashboard, redis_server: RedisServer) -> None:
    for text in ("one", "two", "three"):
        redis_server.publish(text)
    expect(dashboard.rows).to_have_count(3)
    dashboard.open("")
    expect(dashboard.rows).to_have_count(3)
    redis_server.publish("four")
    expect(dashboard.rows).to_have_count(4)
    dashboard.page.reload()
    expect(dashboard.rows).to_have_count(4)
    assert dashboard.texts() == ["one", "two", "three", "four"]
    expect(dashboard.figure("gaps")).to_have_text("0")


def test_the_past_has_the_times_of_the_history(
    dashboard: Dashboard, redis_server: RedisServer
) -> None:
    redis_server.publish("old")
    expect(dashboard.rows).to_have_count(1)
    page = {
        "channel": "demo_stream",
        "messages": [{"id": "", "time": 1_795_000_000_000, "event": "message", "data": "old"}],
        "more": False,
    }
    page["messages"][0]["id"] = dashboard.rows.locator(".row-id").text_content()  # type: ignore[index]
    with dashboard.page.expect_request(re.compile("/history/")):
        dashboard.page.route(re.compile("/history/"), lambda route: route.fulfill(json=page))
        dashboard.open("")
    expect(dashboard.row("old").locator("time")).to_have_text(re.compile(r"^11-1[789] "))
    dashboard.page.unroute(re.compile("/history/"))
    dashboard.page.route(re.compile("/history/"), lambda route: route.fulfill(status=503))
    dashboard.open("")
    expect(dashboard.row("old").locator("time")).to_have_text("earlier")


def test_the_past_is_no_rate(dashboard: Dashboard, redis_server: RedisServer) -> None:
    for number in range(50):
        redis_server.publish(f"number {number}")
    dashboard.open("")
    dashboard.expect_messages(50)
    dashboard.page.wait_for_timeout(1500)
    expect(dashboard.page.locator("#peak")).to_have_text("peak 0 in a minute")
    redis_server.publish("new")
    expect(dashboard.page.locator("#peak")).to_have_text("peak 1 in a minute")


def test_the_address_says_how_much_of_the_past(
    dashboard: Dashboard, redis_server: RedisServer
) -> None:
    for text in ("one", "two", "three"):
        redis_server.publish(text)
    expect(dashboard.rows).to_have_count(3)
    dashboard.open("rewind=2")
    expect(dashboard.rows).to_have_count(2)
    assert dashboard.texts() == ["two", "three"]


def test_the_address_names_channels(dashboard: Dashboard, redis_server: RedisServer) -> None:
    dashboard.open("channel=news&channel=orders.7")
    expect(dashboard.chosen.locator("code")).to_have_text(["news", "orders.7"])
    expect(dashboard.page.locator("#command")).to_have_text(
        'redis-cli -u $REDIS_URL publish news "Test Event"'
    )
    redis_server.publish("n", "news")
    redis_server.publish("o", "orders.7")
    redis_server.publish("elsewhere", "orders.8")
    expect(dashboard.rows).to_have_count(2)
    expect(dashboard.row("news")).to_contain_text(re.compile(r"news\s*\d+-1"))
    expect(dashboard.row("orders.7")).to_contain_text(re.compile(r"orders\.7\s*\d+-1"))
    dashboard.filter.fill("orders.7")
    expect(dashboard.rows).to_have_count(1)


def test_the_address_holds_the_filter(dashboard: Dashboard, redis_server: RedisServer) -> None:
    for text in ("apple", "pear"):
        redis_server.publish(text)
    expect(dashboard.rows).to_have_count(2)
    dashboard.filter.fill("app")
    expect(dashboard.rows).to_have_count(1)
    assert dashboard.page.url.endswith("?rewind=0&filter=app")
    dashboard.open("filter=app")
    expect(dashboard.filter).to_have_value("app")
    expect(dashboard.rows).to_have_count(1)
    dashboard.filter.press("Escape")
    expect(dashboard.rows).to_have_count(2)
    assert "filter" not in dashboard.page.url


def test_a_channel_that_is_refused_is_told_in_the_hub_s_words(
    dashboard: Dashboard, hub: HubProcess
) -> None:
    dashboard.page.goto(f"{hub.url}/?channel=desk")
    expect(dashboard.status).to_have_text("Refused: Sign in to see this channel.")
    expect(dashboard.page.get_by_role("heading", name="The hub refuses")).to_be_visible()
    expect(dashboard.page.get_by_text("Waiting for messages")).to_have_count(0)
    dashboard.page.goto(f"{hub.url}/?channel=nowhere")
    expect(dashboard.status).to_have_text("Refused: There is no such channel.")
