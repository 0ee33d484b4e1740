"""The client behind a proxy that cuts, stalls, holds back and answers by itself."""

import threading

import pytest

from tests.javascript.conftest import Publish
from tests.javascript.page import ClientPage
from tests.support.proxy import Proxy
from tests.support.servers import HubProcess, RedisServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.browser

MESSAGES = 10_000


@pytest.fixture
def reading(page: ClientPage, publish: Publish) -> ClientPage:
    """A page whose connection is live, and has brought a message."""
    page.connect()
    page.wait_until_live()
    publish("before")
    page.wait_for_data("before")
    return page


def publish_all(redis_server: RedisServer, seconds: float) -> None:
    """MESSAGES numbers, evenly over this time."""
    steps = int(seconds * 50)
    pause = threading.Event()
    with redis_server.client() as client:
        for step in range(steps):
            pipe = client.pipeline(transaction=False)
            for number in range(MESSAGES * step // steps, MESSAGES * (step + 1) // steps):
                pipe.publish("demo_stream", f"{number}")
            pipe.execute()
            pause.wait(seconds / steps)


@pytest.mark.parametrize("hold_seconds", [0.0, 0.03])
def test_ten_thousand_messages_with_a_cut_every_200_ms(
    page: ClientPage, proxy: Proxy, redis_server: RedisServer, hold_seconds: float
) -> None:
    page.connect()
    page.wait_until_live()
    proxy.hold_seconds = hold_seconds
    with proxy.cutting(0.2):
        publish_all(redis_server, 10.0)
    page.wait_for(f"got.events.at(-1)[2] === '{MESSAGES - 1}'", 30)
    assert page.data() == [f"{n}" for n in range(MESSAGES)]
    assert page.run("return got.gaps") == []
    assert "reconnecting" in page.states()


@pytest.mark.parametrize("status", [502, 503, 504, 500, 429, 408])
def test_what_passes_is_tried_again(
    reading: ClientPage, proxy: Proxy, publish: Publish, status: int
) -> None:
    """A proxy without a hub behind it answers so: an EventSource would never return."""
    proxy.status = status
    proxy.reset()
    reading.wait_for(f"got.states.at(-1).status === {status}")
    publish("meanwhile")
    proxy.status = None
    reading.wait_for_data("before", "meanwhile")
    assert reading.states() == ["connecting", "live", "reconnecting", "live"]


@pytest.mark.parametrize("status", [400, 403, 404, 401, 410, 204])
def test_what_does_not_pass_is_told_and_not_tried_again(
    page: ClientPage, proxy: Proxy, status: int
) -> None:
    page.load()
    proxy.status = status
    proxy.reset()
    page.connect()
    page.wait_for("connection.state === 'refused'")
    asked = proxy.accepted
    assert page.state()["status"] == status
    assert page.run("return [connection.error.name, connection.error.status]") == [
        "RelayError",
        status,
    ]
    page.page.wait_for_timeout(600)
    assert proxy.accepted == asked
    proxy.status = None
    page.run("connection.reconnect()")
    page.wait_until_live()
    assert page.run("return connection.error") is None


def test_the_hub_s_own_words_say_why(page: ClientPage) -> None:
    page.connect(channels=["nowhere"])
    page.wait_for("connection.state === 'refused'")
    assert page.state() == {
        "state": "refused",
        "status": 404,
        "detail": "There is no such channel.",
    }
    loop = """const { connect } = await import("/static/relay/client.js");
        try { for await (const event of connect("/stream/?channel=private.1")); }
        catch (error) { return [error.name, error.status, error.message]; }"""
    assert page.run(loop) == ["RelayError", 401, "Sign in to see this channel."]


def test_a_page_that_is_no_stream_is_refused(page: ClientPage) -> None:
    page.connect("/")
    page.wait_for("connection.state === 'refused'")
    assert page.state()["detail"] == "The answer is no event stream."


def test_it_waits_as_long_as_retry_after_says(page: ClientPage, proxy: Proxy) -> None:
    page.load()
    proxy.status, proxy.fields = 503, "Retry-After: 7\r\n"
    proxy.reset()
    page.connect()
    page.wait_for("got.states.at(-1).status === 503")
    assert 7000 <= page.state()["waitMs"] <= 10_500


def test_the_waits_double_and_are_spread(page: ClientPage, proxy: Proxy) -> None:
    page.connect()
    page.wait_until_live()
    proxy.status = 502
    proxy.reset()
    page.wait_for("got.states.filter((state) => state.waitMs).length > 5")
    waits = page.run("return got.states.map((state) => state.waitMs).filter(Boolean)")
    assert 50 <= waits[0] <= 150, "the first is the hub's own"
    assert waits[4] > waits[1], waits
    assert waits[5] <= 150 * 2**5, waits


def test_a_connection_that_died_without_a_word_is_replaced(
    reading: ClientPage, proxy: Proxy, publish: Publish
) -> None:
    proxy.stalls = True
    publish("meanwhile")
    reading.wait_for("connection.state === 'reconnecting'")
    proxy.stalls = False
    proxy.reset()
    reading.wait_for_data("before", "meanwhile")


def test_a_request_that_nobody_answers_is_replaced(page: ClientPage, proxy: Proxy) -> None:
    page.connect()
    page.wait_until_live()
    proxy.stalls = True
    proxy.reset()
    asked = proxy.accepted
    wait_until(lambda: proxy.accepted > asked + 1, "it asks again")
    proxy.stalls = False
    proxy.reset()
    page.wait_until_live()


def test_a_hub_that_stops_and_starts_loses_nothing(
    reading: ClientPage, hub: HubProcess, publish: Publish
) -> None:
    assert hub.stop() == 0
    reading.wait_for("got.states.some(({ detail }) => detail === 'The hub stops.')")
    hub.start()
    reading.wait_until_live()
    publish("after")
    reading.wait_for("got.events.length === 2")
    assert reading.data() == ["before", "after"]
    assert [gap["reason"] for gap in reading.run("return got.gaps")] == ["unheard"]


def test_it_says_that_the_hub_has_lost_redis_and_has_it_again(
    page: ClientPage, publish: Publish, redis_server: RedisServer
) -> None:
    page.connect()
    page.wait_until_live()
    assert page.state()["hasRedis"] is True
    redis_server.kill()
    page.wait_for("got.states.at(-1).hasRedis === false", 3)
    assert page.state()["state"] == "live"
    redis_server.start()
    page.wait_for("got.states.at(-1).hasRedis === true", 5)
    publish("after")
    page.wait_for_data("after")
    assert page.states() == ["connecting", "live"]


def test_a_page_without_a_network_says_so_and_comes_back_at_once(
    reading: ClientPage, publish: Publish
) -> None:
    reading.page.context.set_offline(True)
    # What still comes over a connection that stands makes it live again.
    reading.wait_for("got.states.some(({ state }) => state === 'offline')")
    publish("meanwhile")
    reading.page.context.set_offline(False)
    reading.wait_for_data("before", "meanwhile")
    reading.wait_until_live()


def test_a_page_from_the_back_forward_cache_goes_on(
    reading: ClientPage, hub: HubProcess, publish: Publish
) -> None:
    reading.run("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    hub.wait_for_streams(0)
    publish("meanwhile")
    reading.run("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    reading.wait_for_data("before", "meanwhile")
    reading.wait_until_live()


def test_a_page_that_comes_to_the_front_does_not_trust_an_old_connection(
    reading: ClientPage, proxy: Proxy, publish: Publish
) -> None:
    reading.run("const now = Date.now; window.late = 0; Date.now = () => now() + late;")
    proxy.stalls = True
    reading.run("late = 60_000; document.dispatchEvent(new Event('visibilitychange'))")
    reading.wait_for("connection.state === 'reconnecting'", 1)
    proxy.stalls = False
    proxy.reset()
    publish("after")
    reading.wait_for_data("before", "after")
