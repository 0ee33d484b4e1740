"""The dashboard in a real Chromium: what is older than the page."""

import re

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.support.browser import Dashboard, OpenDashboard
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.waiting import wait_until

pytestmark = pytest.mark.browser

BEGINNING = "Beginning of the history"
TOP = "() => document.getElementById('log').scrollTop"


@pytest.fixture
def hub(start_hub: StartHub) -> HubProcess:
    return start_hub(RELAY_CHANNELS="news")


@pytest.fixture
def dashboard(open_dashboard: OpenDashboard, hub: HubProcess) -> Dashboard:
    return open_dashboard(hub)


def publish(redis_server: RedisServer, texts: list[str], channel: str = "demo_stream") -> None:
    with redis_server.client() as client:
        pipe = client.pipeline(transaction=False)
        for text in texts:
            pipe.publish(channel, text)
        pipe.execute()


def wait_until_stored(redis_server: RedisServer, number: int) -> None:
    """Waits for so many messages in the history of the hub's channels. A boundary is none."""

    def stored() -> int:
        with redis_server.client() as client:
            histories = [client.xrange(key) for key in client.scan_iter(_type="STREAM")]
        return sum(b"e" in fields for history in histories for _, fields in history)

    wait_until(lambda: stored() >= number, f"{number} messages are stored")


def stop(dashboard: Dashboard) -> Locator:
    return dashboard.log.get_by_role("button", name="Stop")


def test_scrolling_up_loads_what_is_older(dashboard: Dashboard, redis_server: RedisServer) -> None:
    publish(redis_server, [f"number {n}" for n in range(700)])
    dashboard.expect_messages(700)
    wait_until_stored(redis_server, 700)
    dashboard.open("rewind=100")
    dashboard.expect_messages(100)
    dashboard.log.focus()
    dashboard.page.keyboard.press("Home")
    expect(dashboard.row("number 599")).to_have_count(1)
    expect(dashboard.log.get_by_text(BEGINNING)).to_have_count(0)
    for _ in range(20):
        dashboard.page.keyboard.press("Home")
        if dashboard.log.get_by_text(BEGINNING).is_visible():
            break
        dashboard.page.wait_for_timeout(200)
    dashboard.page.keyboard.press("Home")
    expect(dashboard.log.get_by_text(BEGINNING)).to_be_in_viewport()
    assert dashboard.texts() == [f"number {n}" for n in range(300)]
    publish(redis_server, ["new"])
    expect(dashboard.newest).to_have_text("1 new message")
    dashboard.page.keyboard.press("End")
    expect(dashboard.rows.last).to_contain_text("new")
    expect(dashboard.rows.last).to_be_in_viewport()
    assert dashboard.texts()[-3:] == ["number 698", "number 699", "new"]


def test_what_is_on_the_screen_stays_there(dashboard: Dashboard, redis_server: RedisServer) -> None:
    publish(redis_server, [f"number {n}" for n in range(400)])
    dashboard.expect_messages(400)
    wait_until_stored(redis_server, 400)
    dashboard.open("rewind=100")
    dashboard.expect_messages(100)
    dashboard.log.hover()
    dashboard.page.mouse.wheel(0, -100)
    expect(dashboard.rows).to_have_count(100)
    row = dashboard.row("number 310")
    row.scroll_into_view_if_needed()
    before = row.bounding_box()
    expect(dashboard.row("number 299")).to_have_count(1)
    after = row.bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["y"] - after["y"]) < 28


def test_a_short_log_has_a_button_for_it(dashboard: Dashboard, redis_server: RedisServer) -> None:
    publish(redis_server, ["one", "two", "three"])
    dashboard.expect_messages(3)
    wait_until_stored(redis_server, 3)
    dashboard.open("rewind=1")
    expect(dashboard.rows).to_have_count(1)
    dashboard.button("Load older messages").click()
    expect(dashboard.rows).to_have_count(3)
    assert dashboard.texts() == ["one", "two", "three"]
    publish(redis_server, ["four"])
    expect(dashboard.rows).to_have_count(4)
    assert dashboard.texts() == ["one", "two", "three", "four"]


def test_several_channels_are_merged_by_time(
    dashboard: Dashboard, redis_server: RedisServer
) -> None:
    dashboard.open("channel=demo_stream&channel=news&rewind=0")
    for number in range(6):
        publish(redis_server, [f"number {number}"], ("demo_stream", "news")[number % 2])
        dashboard.expect_messages(number + 1)
    wait_until_stored(redis_server, 6)
    dashboard.open("channel=demo_stream&channel=news&rewind=1")
    expect(dashboard.rows).to_have_count(2)
    dashboard.button("Load older messages").click()
    expect(dashboard.log.get_by_text(BEGINNING)).to_be_visible()
    assert dashboard.texts()[:4] == [f"number {n}" for n in range(4)]
    expect(dashboard.rows).to_have_count(6)
    expect(dashboard.row("number 1").get_by_text("news")).to_be_visible()


def test_a_gap_in_the_history_is_a_row(dashboard: Dashboard, redis_server: RedisServer) -> None:
    publish(redis_server, ["new"])
    expect(dashboard.rows).to_have_count(1)
    page = {
        "channel": "demo_stream",
        "messages": [
            {"id": "17-1", "time": 1_795_000_000_000, "event": "message", "data": "old"},
            {"id": "17-4", "gap": {"reason": "expired", "missed": 3}},
            {"id": "17-5", "time": 1_795_000_000_500, "event": "price", "data": "<b>9</b>"},
        ],
        "more": False,
    }
    dashboard.page.route(re.compile("/history/demo_stream/"), lambda r: r.fulfill(json=page))
    dashboard.button("Load older messages").click()
    expect(dashboard.rows).to_have_count(4)
    expect(dashboard.row("Gap")).to_contain_text("3 messages on demo_stream are missing")
    assert [dashboard.texts()[n] for n in (0, 2, 3)] == ["old", "<b>9</b>", "new"]
    expect(dashboard.rows.first.locator("time")).to_have_text(
        re.compile(r"^\d\d-\d\d \d\d:\d\d:\d\d$")
    )
    expect(dashboard.figure("gaps")).to_have_text("0")


def test_older_messages_are_searched_until_one_matches(
    dashboard: Dashboard, redis_server: RedisServer
) -> None:
    texts = ["needle", *(f"number {n}" for n in range(300)), "needle two"]
    publish(redis_server, [*texts, *(f"later {n}" for n in range(300))])
    dashboard.expect_messages(602)
    wait_until_stored(redis_server, 602)
    dashboard.open("rewind=1&filter=needle")
    expect(dashboard.page.get_by_text("No message matches the filter")).to_be_visible()
    dashboard.button("Search older messages").click()
    expect(dashboard.rows).to_have_count(1)
    assert dashboard.texts() == ["needle two"]
    dashboard.button("Search older messages").click()
    expect(dashboard.rows).to_have_count(2)
    dashboard.filter.fill("no such")
    expect(dashboard.log.get_by_text(BEGINNING)).to_be_visible()
    expect(dashboard.button("Search older messages")).to_be_hidden()
    dashboard.filter.press("Escape")
    dashboard.log.focus()
    dashboard.page.keyboard.press("Home")
    expect(dashboard.rows.first).to_contain_text("needle")
    expect(dashboard.rows).to_have_count(300)


def test_a_search_can_be_stopped(dashboard: Dashboard, redis_server: RedisServer) -> None:
    publish(redis_server, ["new"])
    expect(dashboard.rows).to_have_count(1)
    pages: list[Route] = []
    dashboard.page.route(re.compile("/history/"), lambda route: pages.append(route))
    dashboard.filter.fill("no such")
    dashboard.button("Search older messages").click()
    expect(stop(dashboard)).to_be_visible()
    wait_until(lambda: bool(dashboard.page.evaluate("1") and pages), "the page asks")
    message = {"id": "17-1", "time": 1_795_000_000_000, "event": "message", "data": "old"}
    pages[0].fulfill(json={"channel": "demo_stream", "messages": [message] * 200, "more": True})
    expect(dashboard.log.get_by_text("200 messages read, back to 11-18")).to_be_visible()
    stop(dashboard).click()
    expect(dashboard.button("Search older messages")).to_be_visible()
    dashboard.filter.press("Escape")
    expect(dashboard.row("old").first).to_be_attached()


def test_a_refusal_is_told_in_the_hub_s_words(
    dashboard: Dashboard, redis_server: RedisServer
) -> None:
    publish(redis_server, ["new"])
    expect(dashboard.rows).to_have_count(1)
    problem = {"status": 503, "title": "Service Unavailable", "detail": "Redis did not answer."}
    history = re.compile("/history/")
    dashboard.page.route(history, lambda route: route.fulfill(status=503, json=problem))
    dashboard.button("Load older messages").click()
    told = "Older messages cannot be loaded: Redis did not answer."
    expect(dashboard.log.get_by_text(told)).to_be_visible()
    dashboard.page.unroute(history)
    dashboard.button("Load older messages").click()
    expect(dashboard.log.get_by_text(BEGINNING)).to_be_visible()
    publish(redis_server, ["after it"])
    expect(dashboard.row("after it")).to_have_count(1)
