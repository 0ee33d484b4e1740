"""The dashboard in a real Chromium: its connection to the hub."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

from tests.support.browser import Dashboard, OpenDashboard, Shared
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.waiting import wait_until

pytestmark = pytest.mark.browser


def test_it_comes_back_after_the_hub_was_away(
    open_dashboard: OpenDashboard, start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_RETRY_MS=100)
    dashboard = open_dashboard(hub)
    hub.kill()
    expect(dashboard.status).to_have_text("Reconnecting…")
    hub.start()
    expect(dashboard.status).to_have_text("Live")
    expect(dashboard.row("Resumed")).to_contain_text("where this page had stopped")
    expect(dashboard.row("Gap")).to_contain_text("no hub was listening for a while")
    expect(dashboard.figure("reconnects")).to_have_text("1")
    expect(dashboard.figure("resumes")).to_have_text("1 resumed")
    redis_server.publish("news")
    expect(dashboard.row("news")).to_have_count(1)


@pytest.mark.parametrize(
    ("status", "word"),
    [(503, "Reconnecting…"), (404, "Refused: Not Found"), (204, "Refused: No Content")],
)
def test_it_comes_back_when_an_event_source_would_give_up(
    open_dashboard: OpenDashboard,
    start_hub: StartHub,
    redis_server: RedisServer,
    status: int,
    word: str,
) -> None:
    hub = start_hub(RELAY_RETRY_MS=100)
    dashboard = open_dashboard(hub)
    hub.kill()
    with stand_in(hub.port, status) as server:
        wait_until(lambda: server.asked, "the page asks for the stream")
        expect(dashboard.status).to_have_text(word)
    hub.start()
    expect(dashboard.status).to_have_text("Live")
    redis_server.publish("news")
    expect(dashboard.row("news")).to_have_count(1)


def test_with_ids_it_shows_them_and_resumes(
    open_dashboard: OpenDashboard, start_hub: StartHub
) -> None:
    """The page asks from where it was, after whatever answer."""
    hub = start_hub(RELAY_RETRY_MS=100)
    dashboard = open_dashboard(hub)
    hub.kill()
    answers = (
        "retry: 50\n\nid: 17-1\ndata: one\n\n",
        'retry: 50\n\nid: 17-9\nevent: hub.gap\ndata: {"missed":7,"reason":"expired"}\n\n',
        503,
        "retry: 60000\n\nid: 17-10\ndata: ten\n\n",
    )
    with stand_in(hub.port, *answers) as server:
        expect(dashboard.row("ten")).to_contain_text("17-10")
        asked = [("/stream/?channel=demo_stream&rewind=0", id) for id in ("17-1", "17-9", "17-9")]
        assert server.asked[1:] == asked
    expect(dashboard.row("one")).to_contain_text("17-1")
    expect(dashboard.row("Gap")).to_contain_text(
        "7 messages are missing: this page was away for longer than the hub keeps messages."
    )
    expect(dashboard.row("Resumed")).to_have_count(3)
    expect(dashboard.row("Resumed").last).to_contain_text("where this page had stopped")
    expect(dashboard.figure("missed")).to_have_text("7 messages missing")
    expect(dashboard.figure("reconnects")).to_have_text("3")
    expect(dashboard.figure("resumes")).to_have_text("3 resumed")
    dashboard.filter.fill("17-10")
    expect(dashboard.row("one")).to_have_count(0)
    expect(dashboard.row("ten")).to_have_count(1)


def test_a_refusal_is_no_connection(open_dashboard: OpenDashboard, start_hub: StartHub) -> None:
    """A hub without room answers 200 with nothing but `retry:`."""
    hub = start_hub(RELAY_RETRY_MS=100)
    dashboard = open_dashboard(hub)
    hub.kill()
    refusal = "retry: 50\n\n"
    with stand_in(hub.port, refusal, refusal, refusal, 503) as server:
        wait_until(lambda: len(server.asked) > 3, "the page was refused three times")
        expect(dashboard.status).to_have_text("Reconnecting…")
        expect(dashboard.row("Resumed")).to_have_count(0)
        expect(dashboard.row("Disconnected")).to_have_count(0)


def test_what_was_published_in_the_meantime_arrives_once(
    open_dashboard: OpenDashboard, hub: HubProcess, redis_server: RedisServer
) -> None:
    dashboard = open_dashboard(hub)
    redis_server.publish("before")
    expect(dashboard.row("before")).to_have_count(1)
    dashboard.page.evaluate("dispatchEvent(new Event('pagehide'))")
    hub.wait_for_streams(0)
    redis_server.publish("meanwhile")
    dashboard.page.evaluate("dispatchEvent(new Event('pageshow'))")
    hub.wait_for_streams(1)
    redis_server.publish("later")
    expect(dashboard.row("later")).to_have_count(1)
    resumed = "Resumed after less than a second, where this page had stopped."
    assert dashboard.texts() == ["before", resumed, "meanwhile", "later"]
    expect(dashboard.figure("resumes")).to_have_text("1 resumed")
    dashboard.expect_messages(3)


class StandIn(ThreadingHTTPServer):
    """Gives one answer after the other, a status or a stream that ends; keeps what it was asked."""

    def __init__(self, port: int, answers: tuple[int | str, ...]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str | None]] = []
        super().__init__(("127.0.0.1", port), _Answer)


class _Answer(BaseHTTPRequestHandler):
    server: StandIn

    def do_GET(self) -> None:
        if self.path == "/health/":  # what stands in is no hub
            self.send_error(404)
            return
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self.server.asked.append((self.path, self.headers["Last-Event-ID"]))
        body = b"" if isinstance(answer, int) else answer.encode()
        self.send_response(answer if isinstance(answer, int) else 200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def stand_in(port: int, *answers: int | str) -> Iterator[StandIn]:
    with StandIn(port, answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_hub_that_hangs_leaves_the_page_as_it_is(
    open_dashboard: OpenDashboard, hub: HubProcess, redis_server: RedisServer
) -> None:
    dashboard = open_dashboard(hub)
    assert hub.process is not None
    hub.process.send_signal(signal.SIGSTOP)
    redis_server.publish("late")
    hub.process.send_signal(signal.SIGCONT)
    expect(dashboard.row("late")).to_have_count(1)
    expect(dashboard.figure("reconnects")).to_have_text("0")


def test_without_a_network_it_says_offline(open_dashboard: OpenDashboard, hub: HubProcess) -> None:
    dashboard = open_dashboard(hub)
    dashboard.page.context.set_offline(True)
    expect(dashboard.status).to_have_text("Offline")
    dashboard.page.context.set_offline(False)
    expect(dashboard.status).to_have_text("Live")


def test_an_event_proves_that_the_connection_outlived_the_network(
    dashboard: Dashboard, shared: Shared
) -> None:
    dashboard.page.evaluate("dispatchEvent(new Event('offline'))")
    expect(dashboard.status).to_have_text("Offline")
    shared.redis.publish("still here")
    expect(dashboard.status).to_have_text("Live")
    assert dashboard.texts() == ["still here"]
    expect(dashboard.figure("reconnects")).to_have_text("0")
