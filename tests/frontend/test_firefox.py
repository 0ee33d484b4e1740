"""The dashboard, the operator's page and the client in a real Firefox."""

import pytest

from tests.javascript.bodies import CASES, check_that_both_read_alike
from tests.javascript.page import START
from tests.support.client import BackgroundStream
from tests.support.firefox import Tab, Visitor
from tests.support.operators import link_of
from tests.support.proxy import Proxy
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.waiting import repeating

pytestmark = pytest.mark.browser

STATUS = "[role=status]"
ROW = "#log .row-text"
FILTER = {"role": "searchbox", "name": "Filter messages"}
LINK = {"SECRET_KEY": "for the tests of operators only", "RELAY_OPERATOR_LINK": "1"}
ORDER = '{"id": 12345678901234567890.10, "items": [{"sku": "A-1", "price": 9.50}]}'


@pytest.fixture
def channels(start_hub: StartHub) -> HubProcess:
    return start_hub(RELAY_CHANNELS="news orders.*")


def wait_for_rows(tab: Tab, *texts: str) -> None:
    """Waits until exactly these messages are on the page."""
    rows = f"[...document.querySelectorAll('{ROW}')].map((row) => row.textContent)"
    tab.wait_for(f"JSON.stringify({rows}) === JSON.stringify(x)", texts)


def test_the_dashboard_shows_what_is_published_and_after_a_reload_the_past(
    visitor: Visitor, channels: HubProcess, redis_server: RedisServer
) -> None:
    redis_server.publish("Test Event")
    tab = visitor.tab(f"{channels.url}/")
    tab.wait_for_text(STATUS, "Live")
    redis_server.publish(ORDER)
    wait_for_rows(tab, "Test Event", ORDER)
    tab.reload()
    tab.wait_for_text(STATUS, "Live")
    wait_for_rows(tab, "Test Event", ORDER)
    redis_server.publish("after the reload")
    wait_for_rows(tab, "Test Event", ORDER, "after the reload")
    tab.wait_for_text("[data-figure=gaps]", "0")


def test_a_message_opens_as_a_tree(
    visitor: Visitor, channels: HubProcess, redis_server: RedisServer
) -> None:
    redis_server.publish(ORDER)
    tab = visitor.tab(f"{channels.url}/")
    wait_for_rows(tab, ORDER)
    tab.click(ROW)
    tab.wait_for_text(".tree .run-number", "12345678901234567890.10")
    tab.wait_for_text(".tree summary", '"items": […] 1 item')
    tab.click(role="button", name="Raw")
    tab.wait_for("document.querySelector('.detail-body').textContent === x", ORDER)


def test_the_filter_is_typed_and_emptied(
    visitor: Visitor, channels: HubProcess, redis_server: RedisServer
) -> None:
    for text in ("an apple", "a pear", "apples"):
        redis_server.publish(text)
    tab = visitor.tab(f"{channels.url}/")
    wait_for_rows(tab, "an apple", "a pear", "apples")
    tab.click(**FILTER)
    tab.press("apple")
    wait_for_rows(tab, "an apple", "apples")
    assert tab.run("return location.search").endswith("filter=apple")
    tab.press("\ue00c")  # Escape
    wait_for_rows(tab, "an apple", "a pear", "apples")


def test_two_channels_and_one_that_is_added(
    visitor: Visitor, channels: HubProcess, redis_server: RedisServer
) -> None:
    tab = visitor.tab(f"{channels.url}/?channel=news")
    tab.wait_for_text(STATUS, "Live")
    tab.click(role="button", name="Channels")
    tab.click(role="searchbox", name="Search, or type a name")
    tab.press("orders.7")
    tab.click(role="button", name="Add")
    tab.click(role="button", name="Done")
    tab.wait_for_text("#chosen", "orders.7")
    tab.wait_for_text(STATUS, "Live")
    with repeating(lambda: redis_server.publish("seven", "orders.7"), 0.05):
        tab.wait_for_text(ROW, "seven")
    redis_server.publish("eight", "news")
    tab.wait_for_text(ROW, "eight")
    for channel in ("news", "orders.7"):
        tab.wait_for_text("#log .row-channel", channel)
    chosen = "return new URLSearchParams(location.search).getAll('channel')"
    assert tab.run(chosen) == ["news", "orders.7"]


def test_the_operator_s_page_opens_by_its_link_once(visitor: Visitor, start_hub: StartHub) -> None:
    hub = start_hub(**LINK)
    link = link_of(hub)
    tab = visitor.tab(hub.url + link)
    tab.wait_for_text(STATUS, "Live")
    assert tab.run("return location.href") == f"{hub.url}/ops/"
    assert hub.process is not None
    tab.wait_for_text("#processes tbody tr", f":{hub.process.pid}")
    with BackgroundStream(hub.url):
        tab.wait_for_text("#streams tbody tr", "demo_stream")
        tab.wait_for("document.querySelectorAll('#streams tbody tr').length === 2")
    tab.wait_for("document.querySelectorAll('#streams tbody tr').length === 1")
    tab.reload()
    tab.wait_for_text(STATUS, "Live")
    tab.open(hub.url + link)
    tab.wait_for_text("body", "it was used already")


def open_client(visitor: Visitor, origin: str) -> Tab:
    tab = visitor.tab(f"{origin}/livez")
    module = f"{origin}/static/relay/client.js"
    given = {"url": "/stream/", "options": {"channels": ["news"], "share": True}, "has": {}}
    tab.run(f"await ({START})(x)", {**given, "module": module})
    tab.wait_for("connection.lastEventId !== ''")
    return tab


def test_two_tabs_share_a_stream_and_lose_nothing_over_a_cut(
    visitor: Visitor, client_hub: HubProcess, redis_server: RedisServer
) -> None:
    with Proxy(client_hub.port) as proxy:
        tabs = [open_client(visitor, proxy.url) for _ in range(2)]
        client_hub.wait_for_streams(1)
        numbers = [str(n) for n in range(100)]
        for number in numbers:
            redis_server.publish(number, "news")
            if number == "30":
                proxy.reset()
        for tab in tabs:
            tab.wait_for("got.events.length >= x", len(numbers))
            assert tab.run("return got.events.map(([, , data]) => data)") == numbers
            assert tab.run("return got.gaps") == []
            assert "reconnecting" in tab.run("return got.states.map(({ state }) => state)")
        client_hub.wait_for_streams(1)
        tabs[0].close()  # it leads
        redis_server.publish("last", "news")
        tabs[1].wait_for("got.events.at(-1)[2] === 'last'")
        client_hub.wait_for_streams(1)


def test_the_client_reads_what_firefox_reads(visitor: Visitor, hub: HubProcess) -> None:
    """Except for a NUL, which Firefox drops, and for an id without data, which it forgets."""
    left_out = [case for case in CASES if "\0" in case or case.startswith("id: 7\n\n")]
    assert len(left_out) == 2
    bodies = [case.encode() for case in CASES if case not in left_out]
    bodies.append(b"data: \xff\xc3\n\n")
    check_that_both_read_alike(visitor.tab(f"{hub.url}/livez").run, bodies)
