"""The dashboard in a real Chromium: what it says of a hub whose streams stay open and silent."""

import socket
from typing import cast

import pytest
from playwright.sync_api import expect

from tests.support.browser import OpenDashboard, Shared
from tests.support.forwarder import Forwarder
from tests.support.servers import HubProcess, RedisServer, StartHub

pytestmark = pytest.mark.browser

HIDE = "() => Object.defineProperty(document, 'hidden', { value: true, configurable: true })"
SHOW = """(minutes) => {
  const now = Date.now;
  Date.now = () => now() + minutes * 60_000;
  delete document.hidden;
  document.dispatchEvent(new Event("visibilitychange"));
}"""


class Firewall(Forwarder):
    """May drop what it should pass on, and tells nobody."""

    def __init__(self, hub: HubProcess) -> None:
        super().__init__(hub.port)
        self.url = f"http://127.0.0.1:{self.port}"
        self.drops_all = False
        self._streams: set[socket.socket] = set()
        self._forgotten: set[socket.socket] = set()

    def forget_streams(self) -> None:
        """Drops what belongs to the streams that are open now."""
        self._forgotten |= self._streams

    def _pass(self, source: socket.socket, sink: socket.socket, data: bytes) -> None:
        if data.startswith(b"GET /stream/"):
            self._streams |= {source, sink}
        if not self.drops_all and source not in self._forgotten:
            sink.sendall(data)


def through(firewall: Firewall) -> HubProcess:
    """The hub as a page behind the firewall sees it: its address is all that a page needs."""
    return cast(HubProcess, firewall)


def test_it_says_that_redis_is_away_and_when_it_is_back(
    open_dashboard: OpenDashboard, hub: HubProcess, redis_server: RedisServer
) -> None:
    dashboard = open_dashboard(hub)
    redis_server.kill()
    expect(dashboard.status).to_have_text("Redis is away")
    expect(dashboard.status).to_have_attribute("data-state", "away")
    redis_server.start()
    expect(dashboard.status).to_have_text("Live")
    expect(dashboard.figure("reconnects")).to_have_text("0")  # the stream was open all the time


def test_a_page_that_is_opened_while_redis_is_away_says_so(
    open_dashboard: OpenDashboard, hub: HubProcess, redis_server: RedisServer
) -> None:
    dashboard = open_dashboard(hub)
    redis_server.kill()
    expect(dashboard.status).to_have_text("Redis is away")
    dashboard.page.reload()
    expect(dashboard.status).to_have_text("Redis is away")
    redis_server.start()
    expect(dashboard.status).to_have_text("Live")


def test_a_connection_that_died_without_a_word_is_replaced_and_nothing_is_lost(
    open_dashboard: OpenDashboard, start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_HEARTBEAT_SECONDS=0.4)
    with Firewall(hub) as firewall:
        dashboard = open_dashboard(through(firewall))
        redis_server.publish("before")
        expect(dashboard.row("before")).to_have_count(1)
        firewall.drops_all = True
        redis_server.publish("meanwhile")
        expect(dashboard.status).to_have_text("Reconnecting…")
        firewall.forget_streams()
        firewall.drops_all = False
        expect(dashboard.status).to_have_text("Live")
        expect(dashboard.row("Resumed")).to_contain_text("where this page had stopped")
        expect(dashboard.row("meanwhile")).to_have_count(1)
        dashboard.page.context.close()


def test_a_page_that_comes_to_the_front_does_not_trust_an_old_connection(
    open_dashboard: OpenDashboard, hub: HubProcess, redis_server: RedisServer
) -> None:
    with Firewall(hub) as firewall:
        dashboard = open_dashboard(through(firewall))
        redis_server.publish("before")
        expect(dashboard.row("before")).to_have_count(1)
        dashboard.page.evaluate(HIDE)
        firewall.forget_streams()
        redis_server.publish("meanwhile")
        dashboard.page.evaluate(SHOW, 2)
        expect(dashboard.row("meanwhile")).to_have_count(1, timeout=3000)
        dashboard.page.context.close()


def test_a_short_look_away_keeps_the_connection(
    open_dashboard: OpenDashboard, shared: Shared
) -> None:
    dashboard = open_dashboard(shared.hub)
    streams: list[str] = []
    dashboard.page.on("request", lambda r: streams.extend([r.url] if "/stream/" in r.url else []))
    dashboard.page.evaluate(HIDE)
    dashboard.page.evaluate(SHOW, 0)
    shared.redis.publish("still there")
    expect(dashboard.row("still there")).to_have_count(1)
    assert streams == []
