"""One stream for all tabs of a browser."""

import random
from collections.abc import Sequence

import pytest

from tests.javascript.conftest import OpenPage, Publish
from tests.javascript.page import ClientPage
from tests.support.proxy import Proxy
from tests.support.servers import HubProcess

pytestmark = pytest.mark.browser


def open_tabs(open_page: OpenPage, url: str, number: int) -> list[ClientPage]:
    return [open_page(url) for _ in range(number)]


def open_pair(open_page: OpenPage, url: str) -> tuple[ClientPage, ClientPage]:
    """Two tabs with the same channel, the first of which leads."""
    leader, other = open_tabs(open_page, url, 2)
    leader.connect(channels=["news"], share=True)
    leader.wait_until_live()
    other.connect(channels=["news"], share=True)
    other.wait_for("connection.lastEventId !== ''")
    return leader, other


def wait_until_live(tabs: Sequence[ClientPage]) -> None:
    for tab in tabs:
        tab.wait_until_live()


def test_ten_tabs_have_one_stream_and_get_everything(
    open_page: OpenPage, proxy: Proxy, hub: HubProcess, publish: Publish
) -> None:
    """Over HTTP/1.1 a browser has six connections to a host: with a stream each the seventh would hang."""
    tabs = []
    for _ in range(10):
        tabs.append(open_page(proxy.url))
        tabs[-1].connect(channels=["news"], share=True)
    wait_until_live(tabs)
    hub.wait_for_streams(1)
    numbers = [f"{n}" for n in range(500)]
    publish(*numbers, channel="news")
    for tab in tabs:
        tab.wait_for_data(*numbers)
        assert tab.run("return got.gaps") == []


def test_each_tab_gets_its_channels_out_of_all(
    open_page: OpenPage, proxy: Proxy, hub: HubProcess, publish: Publish
) -> None:
    wishes = [["news"], ["orders.7"], ["news", "orders.8"], ["orders.*"]]
    tabs = open_tabs(open_page, proxy.url, len(wishes))
    for tab, channels in zip(tabs, wishes, strict=True):
        tab.connect(channels=channels, share=True)
    wait_until_live(tabs)
    for tab in tabs:
        tab.wait_for("connection.lastEventId !== ''")
    hub.wait_for_streams(1)
    publish("n", channel="news")
    publish("7", channel="orders.7")
    publish("8", channel="orders.8")
    publish("9", channel="orders.9")
    tabs[0].wait_for_data("n")
    tabs[1].wait_for_data("7")
    tabs[2].wait_for("got.events.length >= 2")
    tabs[3].wait_for("got.events.length >= 3")
    assert sorted(tabs[2].data()) == ["8", "n"]
    assert {(channel, data) for channel, _, data, _ in tabs[3].events()} == {
        ("orders.7", "7"),
        ("orders.8", "8"),
        ("orders.9", "9"),
    }


def test_a_leader_that_leaves_is_replaced_and_nothing_is_lost_or_doubled(
    open_page: OpenPage, proxy: Proxy, hub: HubProcess, publish: Publish
) -> None:
    tabs = open_tabs(open_page, proxy.url, 5)
    for tab in tabs:
        tab.connect(channels=["news"], share=True)
    wait_until_live(tabs)
    for tab in tabs:
        tab.wait_for("connection.lastEventId !== ''")
    sent: list[str] = []

    def send(number: int) -> None:
        sent.extend(f"{len(sent) + n}" for n in range(number))
        publish(*sent[-number:], channel="news")

    while len(tabs) > 1:
        send(100)
        leaver = tabs.pop(0)
        leaver.page.close()  # the tab that came first leads
        leaver.errors.clear()
        send(100)
        for tab in tabs:
            tab.wait_for(f"got.events.length >= {len(sent)}")
    assert tabs[0].data() == sent
    hub.wait_for_streams(1)


@pytest.mark.parametrize("seed", range(3))
def test_tabs_that_come_and_go_while_the_proxy_cuts_lose_nothing(
    open_page: OpenPage, proxy: Proxy, publish: Publish, seed: int
) -> None:
    rng = random.Random(seed)
    tabs = open_tabs(open_page, proxy.url, 4)
    for tab in tabs:
        tab.connect(channels=["news", "orders.7"], share=True)
    wait_until_live(tabs)
    for tab in tabs:
        tab.wait_for("connection.lastEventId.includes('orders.7=')")
    away: set[int] = set()
    sent: list[str] = []
    with proxy.cutting(0.5):
        for number in range(300):
            sent.append(f"{number}")
            publish(sent[-1], channel=rng.choice(["news", "orders.7"]))
            if number % 10 == 0:
                chosen = rng.randrange(len(tabs))
                kind = "pageshow" if chosen in away else "pagehide"
                away ^= {chosen}
                tabs[chosen].run("dispatchEvent(new PageTransitionEvent(x))", kind)
    for chosen in away:
        tabs[chosen].run("dispatchEvent(new PageTransitionEvent('pageshow'))")
    for tab in tabs:
        tab.wait_for(f"got.events.length >= {len(sent)}", 20)
        assert sorted(tab.data(), key=int) == sent
        for channel in ("news", "orders.7"):
            data = [int(data) for name, _, data, _ in tab.events() if name == channel]
            assert data == sorted(data)
        assert tab.run("return got.gaps") == []


def test_a_leader_that_is_frozen_is_replaced(
    open_page: OpenPage, proxy: Proxy, publish: Publish
) -> None:
    """A system may stop a page in the background without a word: its lock stays its own."""
    leader, other = open_pair(open_page, proxy.url)
    leader.run("setTimeout(() => { const end = Date.now() + 4000; while (Date.now() < end); })")
    publish("meanwhile", channel="news")
    other.wait_for("got.events.length === 1", 3.5)
    publish("after", channel="news")
    for tab in (leader, other):
        tab.wait_for_data("meanwhile", "after")


def test_a_tab_with_a_past_gets_it_and_the_others_nothing_twice(
    open_page: OpenPage, proxy: Proxy, hub: HubProcess, publish: Publish
) -> None:
    leader, other, late = open_tabs(open_page, proxy.url, 3)
    leader.connect(channels=["news"], share=True)
    other.connect(channels=["news"], share=True)
    wait_until_live([leader, other])
    other.wait_for("connection.lastEventId !== ''")
    publish("a", "b", "c", channel="news")
    other.wait_for_data("a", "b", "c")
    late.connect(channels=["news"], share=True, rewind=2)
    late.wait_for_data("b", "c")
    back = open_page(proxy.url)
    back.connect(channels=["news"], share=True, lastEventId=other.events()[0][3])
    back.wait_for_data("b", "c")
    publish("d", channel="news")
    for tab, data in ((leader, "abcd"), (other, "abcd"), (late, "bcd"), (back, "bcd")):
        tab.wait_for_data(*data)
    hub.wait_for_streams(1)


def test_a_tab_that_may_not_have_its_channel_does_not_cost_the_others_theirs(
    open_page: OpenPage, proxy: Proxy, hub: HubProcess, publish: Publish
) -> None:
    first, refused, last = open_tabs(open_page, proxy.url, 3)
    first.connect(channels=["news"], share=True)
    first.wait_until_live()
    refused.connect(channels=["news", "private.1"], share=True)
    refused.wait_for("connection.state === 'refused'")
    assert refused.state()["status"] == 401
    last.connect(channels=["news", "orders.7"], share=True)
    last.wait_for("connection.lastEventId.includes('orders.7=')")
    publish("n", channel="news")
    for tab in (first, last):
        tab.wait_for_data("n")
    hub.wait_for_streams(1)


def test_a_leader_that_may_not_have_its_channel_does_not_either(
    open_page: OpenPage, proxy: Proxy, publish: Publish
) -> None:
    refused, other = open_tabs(open_page, proxy.url, 2)
    refused.connect(channels=["private.1"], share=True)
    other.connect(channels=["news"], share=True)
    refused.wait_for("connection.state === 'refused'")
    other.wait_for("connection.lastEventId !== ''")
    publish("n", channel="news")
    other.wait_for_data("n")


def test_channels_are_added_and_dropped_in_a_tab(
    open_page: OpenPage, proxy: Proxy, publish: Publish
) -> None:
    leader, other = open_pair(open_page, proxy.url)
    other.run("connection.add('orders.7')")
    other.wait_for("connection.lastEventId.includes('orders.7=')")
    publish("o", channel="orders.7")
    other.wait_for_data("o")
    other.run("connection.drop('news')")
    publish("n", channel="news")
    leader.wait_for_data("n")
    publish("o2", channel="orders.7")
    other.wait_for_data("o", "o2")
    assert leader.data() == ["n"]


def test_a_text_separates_the_tabs_of_two_users(
    open_page: OpenPage, proxy: Proxy, hub: HubProcess
) -> None:
    ann, bob = open_tabs(open_page, proxy.url, 2)
    ann.connect(channels=["news"], share="ann")
    bob.connect(channels=["news"], share="bob")
    wait_until_live([ann, bob])
    hub.wait_for_streams(2)


def test_without_web_locks_each_tab_has_its_own_stream(
    open_page: OpenPage, proxy: Proxy, hub: HubProcess, publish: Publish
) -> None:
    tabs = open_tabs(open_page, proxy.url, 2)
    for tab in tabs:
        tab.run("Object.defineProperty(navigator, 'locks', { value: undefined })")
        tab.connect(channels=["news"], share=True)
    wait_until_live(tabs)
    hub.wait_for_streams(2)
    publish("n", channel="news")
    for tab in tabs:
        tab.wait_for_data("n")
