"""`/metrics` of real hubs: each number is that of what happened."""

import json
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import psutil
import pytest

from relay.metrics import table
from tests.support.client import Stream, ask, open_raw_stream
from tests.support.metrics import Samples, details, fetch, scrape, scrape_until
from tests.support.servers import COMMANDS, HubProcess, RedisServer, StartHub, free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


class Watched:
    """A hub with an admin address."""

    def __init__(self, start_hub: StartHub, **settings: object) -> None:
        self.port = free_port()
        self.hub: HubProcess = start_hub(RELAY_ADMIN_ADDRESS=f"127.0.0.1:{self.port}", **settings)
        self.url = self.hub.url

    def until(self, name: str, value: float, **labels: str) -> Samples:
        """The first scrape in which the sum of a metric is `value`."""
        return scrape_until(
            self.port, f"{name} is {value}", lambda s: s.sum(name, **labels) == value
        )


def events(stream: Stream, number: int) -> None:
    """Reads so many messages."""
    received = (event for event in stream.events() if event.data)
    for _ in range(number):
        next(received)


@pytest.mark.parametrize("server", ["serve", "daphne", "uvicorn"])
def test_streams_messages_and_bytes_are_those_that_went_through(
    start_hub: StartHub, redis_server: RedisServer, server: str
) -> None:
    watched = Watched(start_hub, command=COMMANDS[server])
    with ExitStack() as stack:
        streams = [stack.enter_context(Stream(watched.url)) for _ in range(3)]
        watched.until("relay_streams", 3, state="live")
        for payload in (b"one", b"\xff", b"x" * 100):
            redis_server.publish(payload)
        for stream in streams:
            events(stream, 3)
        found = watched.until("relay_sent_messages_total", 9)
        assert found.sum("relay_streams") == 3
        assert found.sum("relay_streams_opened_total") == 3
        assert found.sum("relay_received_messages_total") == 3
        assert found.sum("relay_received_bytes_total") == 3 + 1 + 100
        assert found.sum("relay_invalid_messages_total") == 1
        assert found.sum("relay_sent_bytes_total") > 3 * (3 + 3 + 100)
        assert 1 <= found.sum("relay_delivery_lag_seconds_count") <= 3
        assert found.sum("relay_delivery_lag_seconds_sum") > 0
        assert found.sum("relay_channels") == 1
        assert found.sum("relay_ring_events") >= 3
        assert found.sum("relay_redis_live") == 1
        assert found.workers() == {"1"}
        assert found.by("state", "relay_workers") == {"answering": 1}
    watched.until("relay_streams", 0)
    assert watched.hub.stop() == 0
    assert "Traceback" not in watched.hub.log()


def test_it_has_every_metric_of_the_table_and_no_other(start_hub: StartHub) -> None:
    found = scrape(Watched(start_hub).port)
    expected = {table.BUILD}
    for metric in (*table.HOST, *table.WORKER):
        suffixes = ("_bucket", "_count", "_sum") if metric.kind == "histogram" else ("",)
        expected |= {metric.name + suffix for suffix in suffixes}
        assert found.types[metric.name + suffixes[0]] == metric.kind
        for value in metric.values:
            found.sum(metric.name, **{metric.label: value})  # is there, be it 0
    assert found.names == expected


def test_the_process_is_the_hub_itself(start_hub: StartHub) -> None:
    watched = Watched(start_hub)
    found = scrape(watched.port)
    assert watched.hub.process is not None
    process = psutil.Process(watched.hub.process.pid)
    ticks = 0.02  # psutil reads the time in hundredths
    assert 0 < found.sum("process_cpu_seconds_total") <= sum(process.cpu_times()[:2]) + ticks
    assert abs(found.sum("process_start_time_seconds") - process.create_time()) < 1.1
    assert found.sum("process_max_fds") == process.rlimit(psutil.RLIMIT_NOFILE)[0]
    assert 5 < found.sum("process_open_fds") < 100
    assert found.sum("process_virtual_memory_bytes") > found.sum("process_resident_memory_bytes")
    assert found.sum("process_resident_memory_bytes") > 10_000_000
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(Stream(watched.url))
        more = watched.until("relay_streams", 50)
    assert more.sum("process_open_fds") - found.sum("process_open_fds") == 50


def test_a_refused_stream_counts_by_the_limit_that_was_reached(start_hub: StartHub) -> None:
    watched = Watched(
        start_hub,
        RELAY_MAX_STREAMS="2",
        RELAY_MAX_CHANNELS="2",
        RELAY_NEW_CHANNELS_PER_MINUTE="1",
        RELAY_CHANNELS="orders.*=public",
        RELAY_MAX_STREAMS_PER_ADDRESS="1",
    )
    reasons: dict[str, float] = {}

    def refused(reason: str, path: str) -> None:
        assert ask(watched.url, path).status in {200, 503}
        reasons[reason] = reasons.get(reason, 0) + 1
        found = watched.until("relay_streams_refused_total", sum(reasons.values()))
        assert found.by("reason", "relay_streams_refused_total") == reasons

    refused("channels", "/stream/?channel=orders.1&channel=orders.2")
    with Stream(watched.url):
        refused("owner", "/stream/")
    watched.hub.wait_for_streams(0)
    assert watched.hub.health()["streams_refused"] == 2


def test_too_many_streams_and_too_many_new_channels_are_reasons(start_hub: StartHub) -> None:
    watched = Watched(
        start_hub,
        RELAY_MAX_STREAMS="1",
        RELAY_MAX_CHANNELS="3",
        RELAY_NEW_CHANNELS_PER_MINUTE="1",
        RELAY_CHANNEL_IDLE_SECONDS="0",
        RELAY_CHANNELS="orders.*=public",
    )
    with Stream(watched.url):
        ask(watched.url)
        ask(watched.url)
    watched.hub.wait_for_streams(0)
    answers = 0
    while not scrape(watched.port).by("reason", "relay_streams_refused_total").get("new-channels"):
        with Stream(watched.url, f"/stream/?channel=orders.{answers}"):
            answers += 1
        watched.hub.wait_for_streams(0)
        assert answers < 200
    found = scrape(watched.port).by("reason", "relay_streams_refused_total")
    assert found["streams"] == 2
    assert found.keys() == {"streams", "new-channels"}


def test_a_gap_counts_by_its_reason_and_a_resumed_stream_once(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    watched = Watched(start_hub, RELAY_HISTORY_SIZE="0", RELAY_RING_EVENTS="5")
    with Stream(watched.url) as stream:
        redis_server.publish("first")
        first = next(event for event in stream.events() if event.data)
    with Stream(watched.url, headers={"Last-Event-ID": first.id}):
        found = watched.until("relay_streams_resumed_total", 1)
    assert found.by("reason", "relay_gaps_total") == {}
    for _ in range(10):
        redis_server.publish("more")
    watched.until("relay_received_messages_total", 11)
    told: dict[str, float] = {}
    for identity in ("5-5", "no id", first.id):
        with Stream(watched.url, headers={"Last-Event-ID": identity}) as stream:
            gap = next(event for event in stream.events() if event.event == "hub.gap")
        reason = json.loads(gap.data)["reason"]
        told[reason] = told.get(reason, 0) + 1
    found = watched.until("relay_gaps_total", 3)
    assert found.by("reason", "relay_gaps_total") == told
    assert told.keys() == {"unknown-id", "history-unavailable"}
    assert watched.hub.health()["gaps_resume"] == 3


def test_a_lost_redis_is_a_loss_a_reconnection_and_a_gap_of_the_channel(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    watched = Watched(start_hub)
    with Stream(watched.url) as stream:
        redis_server.publish("before")
        events(stream, 1)
        redis_server.kill()
        watched.until("relay_redis_live", 0)
        redis_server.start()
        watched.until("relay_redis_live", 1)
        next(event for event in stream.events() if event.event == "hub.gap")
    found = watched.until("relay_gaps_total", 1)
    assert found.by("reason", "relay_gaps_total") == {"redis-lost": 1}
    assert found.sum("relay_redis_losses_total") == 1
    assert found.sum("relay_redis_reconnects_total") == 1
    assert found.sum("relay_redis_moves_total") == 0  # the same address
    scrape_until(
        watched.port,
        "a probe came back",
        lambda s: s.sum("relay_redis_round_trip_seconds_count") > 0,
    )


def test_what_is_replayed_and_written_to_the_history_counts(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    watched = Watched(start_hub, RELAY_RING_EVENTS="10")
    watched.until("relay_history_channels", 1, state="writing")
    for number in range(1, 5):  # nothing is evicted before it is written
        for _ in range(5):
            redis_server.publish("x")
        watched.until("relay_history_written_entries_total", 5 * number + 1)  # and the boundary
    written = watched.until("relay_history_pending_messages", 0)
    assert written.sum("relay_ring_events") == 10
    assert written.sum("relay_ring_fill_ratio") == 1.0
    with Stream(watched.url, "/stream/?rewind=20") as stream:
        events(stream, 20)
        found = watched.until("relay_streams", 1, state="live")
    assert 10 <= found.sum("relay_replayed_messages_total") <= 20
    assert found.sum("relay_history_read_pages_total") >= 1
    replayed, sent = (found.sum(f"relay_{word}_messages_total") for word in ("replayed", "sent"))
    assert replayed + sent == 20


def test_an_oversize_message_and_a_stream_that_is_cut_count(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    watched = Watched(start_hub, RELAY_EVENT_BYTES="100000", RELAY_STALL_SECONDS="1")
    connection = open_raw_stream(watched.url, receive_buffer=4096)
    redis_server.publish("x" * 200_000)
    watched.until("relay_oversize_messages_total", 1)
    behind = 0
    while not behind:
        for _ in range(50):
            redis_server.publish("x" * 90_000)
        behind = int(scrape(watched.port).sum("relay_streams", state="behind"))
    found = watched.until("relay_streams_cut_total", 1)
    assert found.sum("relay_streams_opened_total") == 1
    watched.until("relay_streams", 0)
    connection.close()


def test_an_event_loop_that_stands_still_is_a_stall(start_hub: StartHub) -> None:
    watched = Watched(start_hub)
    before = watched.until("relay_redis_live", 1).sum("relay_event_loop_stalls_total")
    assert watched.hub.process is not None
    watched.hub.process.send_signal(signal.SIGSTOP)
    time.sleep(2.5)  # the ticker was due within a second
    watched.hub.process.send_signal(signal.SIGCONT)
    found = scrape_until(
        watched.port,
        "the stall was counted",
        lambda s: s.sum("relay_event_loop_stalls_total") > before,
    )
    assert found.sum("relay_event_loop_delay_seconds_sum") >= 1.0


def test_details_name_the_channels_with_the_most_streams(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    watched = Watched(start_hub, RELAY_CHANNELS="orders.*=public")
    with ExitStack() as stack:
        for number in range(30):
            stack.enter_context(Stream(watched.url, f"/stream/?channel=orders.{number}"))
        stack.enter_context(Stream(watched.url, "/stream/?channel=orders.17"))
        stack.enter_context(Stream(watched.url, "/stream/?channel=orders.1&channel=orders.2"))
        stack.enter_context(Stream(watched.url, "/stream/?channel=orders.1&channel=orders.2"))
        stack.enter_context(Stream(watched.url, "/stream/?channel=orders.1&channel=orders.2"))
        watched.until("relay_streams", 34)
        worker = wait_until(lambda: details(watched.port)["workers"].get("1"), "it answers")
    assert watched.hub.process is not None
    assert worker["pid"] == watched.hub.process.pid
    group, most = worker["channels"][:2]
    assert sorted(group["channels"]) == ["orders.1", "orders.2"]
    assert (group["streams"]["live"], most["name"]) == (3, "orders.17")
    assert most["streams"] == {"live": 2, "behind": 0, "replaying": 0}
    assert len(worker["channels"]) == 20
    assert worker["metrics"]["relay_channels"] == 31


def test_a_scraper_may_ask_for_openmetrics(start_hub: StartHub) -> None:
    watched = Watched(start_hub)
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    _, headers, body = fetch(watched.port, "/metrics", headers=accept)
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    _, headers, body = fetch(watched.port, "/metrics")
    assert headers["Content-Type"].startswith("text/plain; version=")
    assert b"# EOF" not in body


def test_a_second_process_says_so_goes_on_and_takes_over(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    first = Watched(start_hub)
    second = start_hub(RELAY_ADMIN_ADDRESS=f"127.0.0.1:{first.port}")
    second.wait_for_log("The metrics cannot be served at 127.0.0.1:")
    with Stream(second.url):
        second.wait_for_streams(1)
        first.until("relay_streams", 0)
        assert first.hub.stop() == 0
        first.until("relay_streams", 1)  # of the second one now
    assert second.log().count("The metrics cannot be served") == 1
    second.wait_for_log("The metrics are served at 127.0.0.1:")
    assert "Traceback" not in second.log()


def test_nothing_listens_by_default_and_nothing_is_imported(hub: HubProcess) -> None:
    assert hub.process is not None
    process = psutil.Process(hub.process.pid)
    listening = [c for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert [c.laddr.port for c in listening] == [hub.port]


WITHOUT = "import sys; sys.modules['prometheus_client'] = None; "


@pytest.mark.parametrize(
    "serve",
    [
        "import hub.asgi",
        "from django.core.management import execute_from_command_line as run;"
        " run(['manage.py', 'relay', 'serve', '--port', '0'])",
    ],
)
def test_without_the_library_it_ends_with_one_line(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, serve: str
) -> None:
    monkeypatch.setenv("RELAY_ADMIN_ADDRESS", "127.0.0.1:9464")
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "hub.settings")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + serve], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "pip install 'relay-hub[metrics]'" in line
