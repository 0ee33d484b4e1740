"""A page of another origin in a real Chromium: with a token, with the session's cookie, with neither."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page

from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.site import MakeSite, Site
from tests.support.waiting import wait_until

pytestmark = pytest.mark.browser

LISTEN = """([url, options]) => {
  window.said = [];
  const source = new EventSource(url, options);
  source.onopen = () => window.said.push("open");
  source.onmessage = (e) => window.said.push([new URLSearchParams(e.lastEventId).get("@"), e.data]);
  source.onerror = () => window.said.push(source.readyState === 2 ? "closed" : "again");
}"""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>another team's page</title>")

    def log_message(self, *words: object) -> None:
        """Nothing: what it serves is no news."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """A page on another port of this machine: another origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def site(make_site: MakeSite) -> Site:
    return make_site(RELAY_CHANNELS="news orders.*=signed-in")


@pytest.fixture
def page(browser: Browser, elsewhere: str) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.goto(elsewhere)
    yield page
    context.close()


def hub_for(start_hub: StartHub, site: Site, elsewhere: str = "") -> HubProcess:
    return start_hub(**site.env, RELAY_ALLOWED_ORIGINS=elsewhere)


def listen(page: Page, url: str, *, credentials: bool = False) -> None:
    page.evaluate(LISTEN, [url, {"withCredentials": credentials}])


def wait_for_subscription(redis_server: RedisServer, channel: str) -> None:
    """Until a hub has opened an epoch: what is published from then on reaches its streams."""
    with redis_server.client() as client:
        wait_until(lambda: client.exists(f"relay:{{{channel}}}:epoch"), f"{channel} is counted")


def wait_for(page: Page, item: object) -> None:
    page.wait_for_function(
        "item => window.said.some((s) => JSON.stringify(s) === JSON.stringify(item))", arg=item
    )


def test_a_token_in_the_address_is_enough(
    page: Page,
    elsewhere: str,
    site: Site,
    start_hub: StartHub,
    redis_server: RedisServer,
) -> None:
    hub = hub_for(start_hub, site, elsewhere)
    token = site.manage("relay", "token", "ann", "--channel", "orders.*")
    listen(page, f"{hub.url}/stream/?channel=orders.7&channel=news&token={token}")
    wait_for(page, "open")
    wait_for_subscription(redis_server, "orders.7")
    wait_for_subscription(redis_server, "news")
    redis_server.publish("from elsewhere", "orders.7")
    redis_server.publish("to all", "news")
    wait_for(page, ["orders.7", "from elsewhere"])
    wait_for(page, ["news", "to all"])
    assert token not in hub.log()


def test_the_session_of_the_user_is_enough_with_credentials(
    page: Page,
    elsewhere: str,
    site: Site,
    start_hub: StartHub,
    redis_server: RedisServer,
) -> None:
    hub = hub_for(start_hub, site, elsewhere)
    session = site.people["ann"].session
    page.context.add_cookies([{"name": "sessionid", "value": session, "url": hub.url}])
    listen(page, f"{hub.url}/stream/?channel=orders.7", credentials=True)
    wait_for(page, "open")
    wait_for_subscription(redis_server, "orders.7")
    redis_server.publish("hello ann", "orders.7")
    wait_for(page, [None, "hello ann"])


@pytest.mark.parametrize(
    ("listed", "path"),
    [(False, "/stream/"), (True, "/stream/?channel=orders.7")],
    ids=["an origin that is not listed", "nobody's request"],
)
def test_without_them_the_page_gets_nothing(
    page: Page,
    elsewhere: str,
    site: Site,
    start_hub: StartHub,
    listed: bool,
    path: str,
) -> None:
    hub = hub_for(start_hub, site, elsewhere if listed else "")
    listen(page, hub.url + path)
    wait_for(page, "closed")
    assert hub.health()["streams_opened"] == 0
