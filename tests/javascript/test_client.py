"""The client in a real Chromium on the real hub: what a page asks for and gets."""

import json
from typing import Any

import pytest
from playwright.sync_api import Error

from tests.javascript.conftest import OpenPage, Publish
from tests.javascript.page import ClientPage
from tests.support.proxy import Proxy
from tests.support.servers import HubProcess

pytestmark = pytest.mark.browser


def test_messages_come_with_channel_and_id(page: ClientPage, publish: Publish) -> None:
    page.connect()
    page.wait_until_live()
    publish("one", "zwei \u2603\nlines", "")
    page.wait_for_data("one", "zwei \u2603\nlines", "")
    assert {(channel, kind) for channel, kind, _, _ in page.events()} == {("", "message")}
    ids = [id for *_, id in page.events()]
    assert [id.split("-")[1] for id in ids] == ["1", "2", "3"]
    assert page.run("return connection.lastEventId") == ids[-1]
    assert page.states() == ["connecting", "live"]
    assert page.state()["periodMs"] == 400


def test_each_channel_has_a_callback_and_its_name(page: ClientPage, publish: Publish) -> None:
    page.run(
        """const { connect } = await import("/static/relay/client.js");
        window.got = { news: [], orders: [], all: [] };
        window.connection = connect("/stream/", {
          channels: {
            news: ({ data }) => got.news.push(data),
            "orders.*": ({ channel, data }) => got.orders.push([channel, data]),
          },
          onMessage: ({ data }) => got.all.push(data),
        });"""
    )
    page.wait_until_live()
    publish("a", channel="news")
    publish("b", channel="orders.7")
    publish("c", channel="orders.x y&=%")
    page.wait_for("got.all.length === 3")
    assert page.run("return got.news") == ["a"]
    assert page.run("return got.orders") == [["orders.7", "b"], ["orders.x y&=%", "c"]]


def test_channels_are_added_and_dropped_and_the_others_keep_their_places(
    page: ClientPage, publish: Publish, hub: HubProcess
) -> None:
    page.connect(channels=["news"])
    page.wait_until_live()
    publish("n1", channel="news")
    page.wait_for_data("n1")
    page.run("connection.add('orders.7', ({ data }) => (window.seven = data))")
    publish("n2", channel="news")
    page.wait_for("got.events.length === 2")
    page.wait_for("connection.lastEventId.includes('orders.7=')")
    publish("o1", channel="orders.7")
    page.wait_for("window.seven === 'o1'")
    page.run("connection.drop('news')")
    assert page.run("return connection.channels") == ["orders.7"]
    publish("o2", channel="orders.7")
    page.wait_for_data("n1", "n2", "o1", "o2")
    assert page.states() == ["connecting", "live"], "the page need not know"
    page.run("connection.drop('orders.7')")
    page.wait_for("connection.state === 'closed'")
    hub.wait_for_streams(0)


def test_a_hundred_changes_of_channels_lose_and_double_nothing(
    page: ClientPage, publish: Publish
) -> None:
    page.connect(channels=["news"])
    page.wait_until_live()
    for n in range(100):
        publish(f"{n}", channel="news")
        page.run("x % 2 ? connection.drop('orders.7') : connection.add('orders.7')", n)
    page.wait_for_data(*(f"{n}" for n in range(100)))


def test_the_default_channel_cannot_be_joined_by_others(page: ClientPage) -> None:
    page.connect()
    with pytest.raises(Error, match="Name the channels"):
        page.run("connection.add('news')")


@pytest.mark.parametrize(
    ("options", "data"),
    [
        ({}, ["live"]),
        ({"rewind": 2}, ["b", "c", "live"]),
        ({"rewind": "all"}, ["a", "b", "c", "live"]),
        ({"since": "1h"}, ["a", "b", "c", "live"]),
        ({"since": 1}, ["a", "b", "c", "live"]),
    ],
)
def test_it_starts_where_it_is_asked_to(
    page: ClientPage, publish: Publish, options: dict[str, Any], data: list[str]
) -> None:
    page.connect(channels=["news"])
    page.wait_until_live()
    publish("a", "b", "c", channel="news")
    page.wait_for_data("a", "b", "c")
    page.run("connection.close()")
    page.connect(channels=["news"], **options)
    page.wait_for("connection.lastEventId !== ''")
    publish("live", channel="news")
    page.wait_for_data(*data)


def test_a_date_and_the_id_of_an_earlier_connection_say_where_to_start(
    page: ClientPage, publish: Publish
) -> None:
    page.connect(channels=["news", "orders.7"])
    page.wait_until_live()
    publish("a", "b", channel="news")
    page.wait_for_data("a", "b")
    first = page.events()[0][3]
    page.run("connection.close()")
    page.connect(channels=["news", "orders.7"], lastEventId=first, rewind="all")
    page.wait_for_data("b")
    page.run(
        """connection.close();
        const { connect } = await import("/static/relay/client.js");
        window.dated = [];
        const since = new Date(Date.now() - 60_000);
        connect("/stream/?channel=news", { since, onMessage: ({ data }) => dated.push(data) });"""
    )
    page.wait_for("window.dated?.join() === 'a,b'")


def test_only_the_newest_comes_where_that_is_asked_for(page: ClientPage, publish: Publish) -> None:
    page.connect(channels=["news"], latest=0.3)
    page.wait_until_live()
    publish(*(f"{n}" for n in range(200)), channel="news")
    page.wait_for("got.events.at(-1)?.[2] === '199'")
    assert len(page.events()) < 20


def test_gaps_and_oversize_notices_are_objects(page: ClientPage, publish: Publish) -> None:
    page.connect(channels=["small"], lastEventId="5-5")
    page.wait_for("got.gaps.length === 1")
    assert page.run("return got.gaps")[0]["reason"] == "unheard"
    assert page.run("return got.gaps")[0]["channel"] == "small"
    publish("x" * 1000, "fits", channel="small")
    page.wait_for_data("fits")
    [oversize] = page.run("return got.oversize")
    assert (oversize["channel"], oversize["max_bytes"]) == ("small", 300)


def test_named_events_have_their_names_for_listeners_too(
    page: ClientPage, publish: Publish
) -> None:
    page.connect(channels=["named"])
    page.run(
        """window.heard = [];
        for (const type of ["price", "message", "hub.gap", "hub.state"]) {
          connection.addEventListener(type, (event) => heard.push([type, event.data ?? event.detail.state]));
        }"""
    )
    page.wait_until_live()
    publish(json.dumps({"event": "price", "data": {"eur": 12}}), "plain", channel="named")
    page.wait_for_data('{"eur":12}', "plain")
    assert [kind for _, kind, _, _ in page.events()] == ["price", "message"]
    heard = [each for each in page.run("return heard") if each[0] != "hub.state"]
    assert heard == [["price", '{"eur":12}'], ["message", "plain"]]


def test_a_loop_gets_everything_in_order_and_closes_the_connection(
    page: ClientPage, publish: Publish, hub: HubProcess
) -> None:
    page.run(
        """const { connect } = await import("/static/relay/client.js");
        window.connection = connect("/stream/", { channels: ["small"], lastEventId: "5-5" });
        window.got = [];
        window.done = (async () => {
          for await (const event of connection) {
            got.push([event.type, event.detail ? event.detail.channel : event.json()]);
            if (event.data === "3") break;
          }
        })();"""
    )
    page.wait_until_live()
    publish("1", "2", "x" * 999, "3", "4", channel="small")
    page.run("await done")
    assert page.run("return got") == [
        ["hub.gap", "small"],
        ["message", 1],
        ["message", 2],
        ["hub.oversize", "small"],
        ["message", 3],
    ]
    assert page.run("return connection.state") == "closed"
    hub.wait_for_streams(0)


def test_a_slow_loop_holds_the_stream_back_and_gets_everything(
    page: ClientPage, publish: Publish
) -> None:
    page.run(
        """const { connect } = await import("/static/relay/client.js");
        window.connection = connect("/stream/", { channels: ["news"] });
        window.got = [];
        window.go = new Promise((resolve) => (window.release = resolve));
        (async () => {
          for await (const { data } of connection) {
            await go;
            got.push(data.length);
          }
        })();"""
    )
    page.wait_until_live()
    for _ in range(30):
        publish(*("x" * 1000 for _ in range(100)), channel="news")
    page.page.wait_for_timeout(1500)  # more than 2.5 heartbeats: the silence is the page's own
    page.run("release()")
    page.wait_for("got.length === 3000")
    assert page.run("return connection.state") == "live"


def test_an_error_in_a_callback_is_the_page_s_and_ends_nothing(
    page: ClientPage, publish: Publish
) -> None:
    page.run(
        """const { connect } = await import("/static/relay/client.js");
        window.got = [];
        const onMessage = ({ data }) => { got.push(data); throw Error(data); };
        window.connection = connect("/stream/", { onMessage });"""
    )
    page.wait_until_live()
    publish("a", "b")
    page.wait_for("got.length === 2")
    page.page.wait_for_timeout(50)
    assert page.errors == ["a", "b"]
    page.errors.clear()


def test_a_signal_closes_it(page: ClientPage, hub: HubProcess) -> None:
    page.run(
        """const { connect } = await import("/static/relay/client.js");
        window.stop = new AbortController();
        window.connection = connect("/stream/", { signal: stop.signal });"""
    )
    page.wait_until_live()
    page.run("stop.abort()")
    assert page.run("return connection.state") == "closed"
    hub.wait_for_streams(0)
    code = """const { connect } = await import("/static/relay/client.js");
        const closed = connect("/stream/", { signal: AbortSignal.abort() });
        await null;
        return closed.state;"""
    assert page.run(code) == "closed"


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("/stream/", {"chanels": ["news"]}, "connect has no option chanels"),
        ("http://", {}, "Invalid URL"),
    ],
)
def test_what_cannot_work_is_said_at_once(
    page: ClientPage, url: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(Error, match=said):
        page.connect(url, **options)


def test_a_page_of_another_origin_imports_it_and_reads(
    open_page: OpenPage, hub: HubProcess, proxy: Proxy, publish: Publish
) -> None:
    page = open_page(proxy.url)
    page.origin = hub.url
    page.connect(f"{hub.url}/stream/")
    page.wait_for("connection.state !== 'connecting'")
    assert page.state()["state"] == "reconnecting", "this origin is not on the list"


def test_a_reload_loses_and_doubles_nothing_where_the_page_wants_that(
    page: ClientPage, publish: Publish
) -> None:
    page.connect(channels=["news", "orders.7"], persist=True, rewind="all")
    page.wait_for("connection.lastEventId.includes('orders.7=')")
    publish("before", channel="news")
    page.wait_for_data("before")
    page.page.reload()
    publish("meanwhile", channel="news")
    page.connect(channels=["news", "orders.7"], persist=True, rewind="all")
    page.wait_for_data("meanwhile")
    page.page.reload()
    page.connect(channels=["news", "orders.7"], rewind="all")
    page.wait_for_data("before", "meanwhile")
