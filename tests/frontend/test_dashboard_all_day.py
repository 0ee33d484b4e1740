"""The dashboard in a real Chromium, open all day: alerts, a pause that lasts, and what is taken along."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.support.browser import Dashboard, OpenDashboard
from tests.support.servers import HubProcess, RedisServer

pytestmark = pytest.mark.browser

HIDE = """() => {
    Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
    document.hasFocus = () => false;
}"""
SHOW = """() => {
    Object.defineProperty(document, "visibilityState", { value: "visible", configurable: true });
    document.hasFocus = () => true;
    dispatchEvent(new Event("focus"));
}"""
KEEP_NOTIFICATIONS = """
    window.told = [];
    window.Notification = class {
        static permission = "default";
        static async requestPermission() { return (Notification.permission = "granted"); }
        constructor(title, { body, tag }) { window.told.push([title, body, tag]); }
    };
"""


@pytest.fixture
def dashboard(open_dashboard: OpenDashboard, hub: HubProcess) -> Dashboard:
    return open_dashboard(hub)


def test_what_is_on_the_page_is_exported(dashboard: Dashboard, redis_server: RedisServer) -> None:
    for text in ("one", '{"n": 1.50}', "other\nline"):
        redis_server.publish(text)
    expect(dashboard.rows).to_have_count(3)
    dashboard.filter.fill("o")
    with dashboard.page.expect_download() as download:
        dashboard.button("Export").click()
    assert re.fullmatch(
        r"relay-demo_stream-\d{8}T\d{6}Z\.ndjson", download.value.suggested_filename
    )
    lines = [json.loads(line) for line in download.value.path().read_text().splitlines()]
    assert [line["data"] for line in lines] == ["one", '{"n": 1.50}', "other\nline"]
    assert lines[0].keys() == {"time", "channel", "id", "event", "data"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", lines[0]["time"])
    dashboard.filter.fill("other")
    with dashboard.page.expect_download() as download:
        dashboard.button("Export").click()
    assert len(download.value.path().read_text().splitlines()) == 1


def test_a_pause_outlives_a_reload(dashboard: Dashboard, redis_server: RedisServer) -> None:
    redis_server.publish("before")
    expect(dashboard.rows).to_have_count(1)
    dashboard.button("Pause").click()
    dashboard.open("")
    expect(dashboard.button("Resume")).to_be_visible()
    redis_server.publish("meanwhile")
    expect(dashboard.newest).to_have_text("1 new message")
    assert dashboard.texts() == ["before"]
    dashboard.button("Resume").click()
    expect(dashboard.rows).to_have_count(2)
    dashboard.page.reload()
    expect(dashboard.rows).to_have_count(2)
    redis_server.publish("goes on")
    expect(dashboard.rows).to_have_count(3)
    expect(dashboard.button("Pause")).to_be_visible()


def lose_redis(hub: HubProcess, redis_server: RedisServer) -> None:
    redis_server.kill()
    hub.wait_for_redis("lost")


def test_alerts_are_off_until_somebody_wants_them(
    dashboard: Dashboard, hub: HubProcess, redis_server: RedisServer
) -> None:
    dashboard.page.add_init_script(KEEP_NOTIFICATIONS)
    dashboard.open()
    dashboard.page.evaluate(HIDE)
    lose_redis(hub, redis_server)
    expect(dashboard.status).to_have_text("Redis is away")
    expect(dashboard.page).to_have_title("Relay Hub")
    assert dashboard.page.evaluate("window.told") == []
    assert dashboard.page.evaluate("Notification.permission") == "default"


def test_alerts_tell_of_a_lost_redis_and_of_gaps(
    dashboard: Dashboard, hub: HubProcess, redis_server: RedisServer
) -> None:
    page = dashboard.page
    page.add_init_script(KEEP_NOTIFICATIONS)
    dashboard.open()
    dashboard.button("Alerts: off").click()
    expect(dashboard.button("Alerts: on")).to_have_attribute("aria-pressed", "true")
    page.evaluate(HIDE)
    lose_redis(hub, redis_server)
    expect(page).to_have_title("⚠ Redis is away · Relay Hub")
    redis_server.start()
    hub.wait_for_redis("live")
    expect(dashboard.row("Gap")).to_have_count(1)
    expect(page).to_have_title("⚠ 1 gap · Relay Hub")
    [lost, gap] = page.evaluate("window.told")
    assert lost == ["Relay Hub: Redis is away", "The dashboard gets no messages.", "state"]
    assert gap[0] == "Relay Hub: Gap"
    assert "the hub lost its connection to Redis for a while" in gap[1]
    page.evaluate(SHOW)
    expect(page).to_have_title("Relay Hub")
    page.evaluate("Notification.permission = 'denied'")
    dashboard.button("Alerts: on").click()
    dashboard.button("Alerts: off").click()
    expect(dashboard.button("Alerts: title only")).to_be_visible()
    dashboard.open()
    expect(page.locator("#alerts")).to_have_attribute("aria-pressed", "true")
