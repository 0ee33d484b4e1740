"""The dashboard in a real Chromium: choosing channels."""

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.support.browser import Dashboard, OpenDashboard
from tests.support.servers import HubProcess, RedisServer, StartHub

pytestmark = pytest.mark.browser

LISTED = [
    {"name": "news", "wildcard": False, "streams": 3, "publish": False, "envelope": False},
    {"name": "orders.*", "wildcard": True, "streams": 0, "publish": False, "envelope": False},
    {"name": "<b>odd</b>", "wildcard": False, "streams": None, "publish": False, "envelope": False},
]


@pytest.fixture
def hub(start_hub: StartHub) -> HubProcess:
    return start_hub(RELAY_CHANNELS="news orders.* desk=signed-in")


@pytest.fixture
def dashboard(open_dashboard: OpenDashboard, hub: HubProcess) -> Dashboard:
    return open_dashboard(hub)


def list_channels(dashboard: Dashboard) -> None:
    """Has the page get LISTED."""
    dashboard.page.route(
        re.compile("/channels/"),
        lambda route: route.fulfill(json={"channels": LISTED, "more": True}),
    )


def picker(dashboard: Dashboard) -> Locator:
    return dashboard.page.get_by_role("dialog", name="Channels")


def test_channels_are_chosen_from_the_hub_s_list(
    dashboard: Dashboard, redis_server: RedisServer
) -> None:
    list_channels(dashboard)
    redis_server.publish("before")
    expect(dashboard.row("before")).to_have_count(1)
    dashboard.button("Channels").click()
    options = picker(dashboard).get_by_role("listitem")
    expect(options).to_have_text(
        [re.compile(r"demo_stream.*/s"), "news3 streams", "orders.*pattern", "<b>odd</b>"]
    )
    expect(
        picker(dashboard).get_by_text("There are more: type a part of the name.")
    ).to_be_visible()
    picker(dashboard).get_by_role("checkbox", name="news").check()
    with dashboard.page.expect_request(re.compile(r"/channels/\?q=odd$")):
        picker(dashboard).get_by_role("searchbox").fill("odd")
    expect(options).to_have_text(["<b>odd</b>"])
    dashboard.button("Done").click()
    expect(dashboard.chosen.locator("code")).to_have_text(["demo_stream", "news"])
    assert dashboard.page.url.endswith("?rewind=0&channel=demo_stream&channel=news")
    wait_for_channel(dashboard, redis_server, "news")
    redis_server.publish("of the first")
    expect(dashboard.row("of the first")).to_have_count(1)
    expect(dashboard.row("before")).to_have_count(1)
    expect(dashboard.figure("gaps")).to_have_text("0")
    expect(dashboard.figure("reconnects")).to_have_text("0")


def test_the_hub_lists_what_this_visitor_may_see(dashboard: Dashboard) -> None:
    dashboard.button("Channels").click()
    options = picker(dashboard).get_by_role("listitem").locator(".picker-name")
    expect(options.filter(has_text="news")).to_have_count(1)
    expect(options.filter(has_text="demo_stream")).to_have_count(1)
    expect(options.filter(has_text="desk")).to_have_count(0)


def wait_for_channel(dashboard: Dashboard, redis_server: RedisServer, name: str) -> None:
    """Publishes on it until the page has one of the messages."""
    row = dashboard.row(f"on {name}").first
    for _ in range(100):
        redis_server.publish(f"on {name}", name)
        if row.is_visible():
            return
        dashboard.page.wait_for_timeout(100)
    pytest.fail(f"nothing came on {name}")


def test_rows_name_their_channel_where_there_are_several(
    open_dashboard: OpenDashboard, start_hub: StartHub, redis_server: RedisServer
) -> None:
    dashboard = open_dashboard(start_hub(DJANGO_SETTINGS_MODULE="tests.support.channel_settings"))
    redis_server.publish("alone")
    expect(dashboard.row("alone").get_by_text("demo_stream")).to_be_hidden()
    dashboard.open("channel=demo_stream&channel=orders.*&rewind=0")
    redis_server.publish("one")
    wait_for_channel(dashboard, redis_server, "orders.8")
    one = dashboard.row("one").locator(".row-channel")
    order = dashboard.row("on orders.8").first.locator(".row-channel")
    expect(one).to_have_text("demo_stream")
    expect(order).to_have_text("orders.8")
    colours = [each.evaluate("(e) => getComputedStyle(e).color") for each in (one, order)]
    assert len(set(colours)) == 2
    rate = dashboard.chosen.get_by_role("listitem").filter(has_text="orders.*")
    expect(rate).to_have_text(re.compile(r"orders\.\*[0-9.]+/s"))


def test_a_name_can_be_typed_where_the_hub_lists_none(
    dashboard: Dashboard, redis_server: RedisServer
) -> None:
    refusal = {"status": 403, "title": "Forbidden", "detail": "Staff only."}
    dashboard.page.route(
        re.compile("/channels/"), lambda route: route.fulfill(status=403, json=refusal)
    )
    dashboard.page.keyboard.press("h")
    hint = picker(dashboard).get_by_text("The hub does not list its channels: Staff only.")
    expect(hint).to_be_visible()
    dashboard.page.keyboard.type("orders.7")
    expect(picker(dashboard).get_by_text("No channel that you may see")).to_be_visible()
    dashboard.page.keyboard.press("Enter")
    expect(picker(dashboard).get_by_role("checkbox", name="orders.7")).to_be_checked()
    expect(picker(dashboard)).to_be_visible()
    dashboard.page.keyboard.press("Escape")
    wait_for_channel(dashboard, redis_server, "orders.7")


def test_one_channel_stays_chosen(dashboard: Dashboard) -> None:
    list_channels(dashboard)
    dashboard.button("Channels").click()
    box = picker(dashboard).get_by_role("checkbox", name="demo_stream")
    box.click()
    expect(picker(dashboard).get_by_text("One channel stays chosen.")).to_be_visible()
    expect(box).to_be_checked()


def test_back_returns_to_the_channels_before(
    dashboard: Dashboard, redis_server: RedisServer
) -> None:
    list_channels(dashboard)
    dashboard.button("Channels").click()
    picker(dashboard).get_by_role("checkbox", name="news").check()
    picker(dashboard).get_by_role("checkbox", name="demo_stream").uncheck()
    dashboard.button("Done").click()
    expect(dashboard.chosen.locator("code")).to_have_text(["news"])
    wait_for_channel(dashboard, redis_server, "news")
    dashboard.page.go_back()
    dashboard.page.go_back()
    expect(dashboard.chosen.locator("code")).to_have_text(["demo_stream"])
    wait_for_channel(dashboard, redis_server, "demo_stream")


def test_a_refused_channel_can_be_given_up_again(
    dashboard: Dashboard, redis_server: RedisServer
) -> None:
    list_channels(dashboard)
    dashboard.button("Channels").click()
    dashboard.page.keyboard.type("desk")
    dashboard.page.keyboard.press("Enter")
    expect(dashboard.status).to_have_text("Refused: Sign in to see this channel.")
    picker(dashboard).get_by_role("checkbox", name="desk").click()  # it is gone then
    expect(dashboard.status).to_have_text("Live")
    redis_server.publish("still here")
    expect(dashboard.row("still here")).to_have_count(1)
