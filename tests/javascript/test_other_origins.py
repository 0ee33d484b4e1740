"""A page of another origin that imports the client from the hub, and reads streams there."""

from typing import Any

import pytest

from tests.javascript.conftest import OpenPage, Publish
from tests.javascript.page import ClientPage
from tests.support.proxy import Proxy
from tests.support.servers import HubProcess
from tests.support.tokens import token

pytestmark = pytest.mark.browser

CONNECT = """
const { hub, given, options } = x;
const { connect } = await import(`${hub}/static/relay/client.js`);
window.got = { events: [], states: [] };
connect(`${hub}/stream/`, {
  ...options,
  ...(given && { token: async () => given }),
  onMessage: ({ data }) => got.events.push(data),
  onState: (state) => got.states.push(state),
});
"""


@pytest.fixture
def stranger(open_page: OpenPage, proxy: Proxy) -> ClientPage:
    """A page of the proxy's origin."""
    return open_page(proxy.url)


def connect(page: ClientPage, hub: str, given: str = "", **options: Any) -> None:
    """Connects to a hub, which is of another origin than the page."""
    assert page.origin != hub
    page.run(CONNECT, {"hub": hub, "given": given, "options": options})


def list_origin(hub: HubProcess, origin: str, **settings: str) -> None:
    hub.stop()
    hub.env.update(RELAY_ALLOWED_ORIGINS=origin, **settings)
    hub.start()


def test_a_listed_page_reads_with_its_token_and_resumes(
    stranger: ClientPage, hub: HubProcess, publish: Publish
) -> None:
    list_origin(hub, stranger.origin)
    with Proxy(hub.port) as way:
        connect(stranger, way.url, token(), channels=["private.1", "news"])
        hub.wait_for_streams(1)
        publish("before", channel="private.1")
        stranger.wait_for("got.events.length === 1")
        way.reset()
        publish("after", channel="private.1")
        stranger.wait_for("got.events.length === 2")
    assert stranger.run("return got.events") == ["before", "after"]


def test_a_listed_page_reads_why_it_is_refused(stranger: ClientPage, hub: HubProcess) -> None:
    list_origin(hub, stranger.origin)
    connect(stranger, hub.url, channels=["private.1"])
    stranger.wait_for("got.states.at(-1).state === 'refused'")
    state = stranger.state()
    assert (state["status"], state["detail"]) == (401, "Sign in to see this channel.")


def test_a_listed_page_reads_when_a_full_hub_wants_it_back(
    stranger: ClientPage, hub: HubProcess
) -> None:
    full = {"RELAY_MAX_STREAMS": "1", "RELAY_OVERLOAD_RETRY_MS": "60000"}
    list_origin(hub, stranger.origin, **full)
    connect(stranger, hub.url)
    hub.wait_for_streams(1)
    connect(stranger, hub.url)
    stranger.wait_for("got.states.at(-1).waitMs")
    state = stranger.state()
    assert (state["state"], state["status"]) == ("reconnecting", 503)
    assert state["waitMs"] >= 30_000


def test_a_page_that_is_not_listed_has_the_client_and_no_stream(
    stranger: ClientPage, hub: HubProcess
) -> None:
    connect(stranger, hub.url)
    stranger.wait_for("got.states.at(-1).waitMs")
    state = stranger.state()
    assert state["state"] == "reconnecting"
    assert "status" not in state
    assert hub.health()["streams_open"] == 0
