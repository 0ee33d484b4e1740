"""The metrics of a host with workers: one answer for all, whatever happens to one of them."""

import signal
from contextlib import ExitStack

import psutil
import pytest

from tests.support.client import Stream
from tests.support.metrics import details, scrape, scrape_until
from tests.support.servers import HubProcess, RedisServer, StartHub, free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


class TwoWorkers:
    def __init__(self, start_hub: StartHub, drain_seconds: float) -> None:
        self.port = free_port()
        self.hub: HubProcess = start_hub(
            RELAY_WORKERS="2",
            RELAY_RETRY_MS="200",
            RELAY_DRAIN_SECONDS=drain_seconds,
            RELAY_ADMIN_ADDRESS=f"127.0.0.1:{self.port}",
        )
        self.hub.wait_for_log("2 workers")

    @property
    def parent(self) -> psutil.Process:
        assert self.hub.process is not None
        return psutil.Process(self.hub.process.pid)


@pytest.fixture
def two(start_hub: StartHub) -> TwoWorkers:
    return TwoWorkers(start_hub, drain_seconds=1)


def test_each_worker_has_its_label_and_the_sums_are_those_of_the_host(
    two: TwoWorkers, redis_server: RedisServer
) -> None:
    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(Stream(two.hub.url))
        redis_server.publish("hello")
        found = scrape_until(
            two.port, "all were sent it", lambda s: s.sum("relay_sent_messages_total") == 40
        )
    assert found.workers() == {"1", "2"}
    assert sum(found.by("worker", "relay_streams_opened_total").values()) == 40
    assert found.by("worker", "relay_received_messages_total") == {"1": 1, "2": 1}
    assert found.by("worker", "relay_redis_live") == {"1": 1, "2": 1}
    assert found.by("state", "relay_workers") == {"answering": 2}
    pids = {worker["pid"] for worker in details(two.port)["workers"].values()}
    assert pids == {worker.pid for worker in two.parent.children()}
    listening = [
        connection
        for worker in two.parent.children()
        for connection in worker.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == two.port
    ]
    assert listening == []  # it is the parent's
    assert two.hub.stop() == 0
    assert "Traceback" not in two.hub.log()


def test_a_worker_that_hangs_is_left_out_counted_and_back_again(two: TwoWorkers) -> None:
    pid = details(two.port)["workers"]["2"]["pid"]
    psutil.Process(pid).suspend()
    found = scrape_until(
        two.port, "one is silent", lambda s: s.by("state", "relay_workers").get("silent")
    )
    assert found.by("state", "relay_workers") == {"answering": 1, "silent": 1}
    assert found.workers() == {"1"}
    psutil.Process(pid).resume()
    scrape_until(two.port, "both answer", lambda s: s.workers() == {"1", "2"})


def test_a_worker_that_died_counts_and_the_next_one_has_its_label(two: TwoWorkers) -> None:
    victim = details(two.port)["workers"]["1"]["pid"]
    psutil.Process(victim).kill()
    found = scrape_until(
        two.port,
        "it was replaced",
        lambda s: s.sum("relay_worker_deaths_total") == 1 and s.workers() == {"1", "2"},
    )
    assert found.by("state", "relay_workers") == {"answering": 2}
    assert details(two.port)["workers"]["1"]["pid"] != victim


def test_a_worker_that_drains_is_there_until_it_has_ended(start_hub: StartHub) -> None:
    two = TwoWorkers(start_hub, drain_seconds=600)
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(Stream(two.hub.url))
        old = {worker["pid"] for worker in details(two.port)["workers"].values()}
        two.parent.send_signal(signal.SIGHUP)
        labels = {"1", "2", *(f"draining-{pid}" for pid in old)}
        found = scrape_until(two.port, "all four answer", lambda s: s.workers() == labels)
        assert found.by("state", "relay_worker_state") == {"serving": 2, "draining": 2}
        for pid in old:
            state = found.sum("relay_worker_state", worker=f"draining-{pid}", state="draining")
            assert state == 1
        told = {w["pid"] for label, w in details(two.port)["workers"].items() if "-" in label}
        assert told == old
        for pid in old:
            psutil.Process(pid).kill()
        scrape_until(two.port, "the old ones have gone", lambda s: s.workers() == {"1", "2"})


def test_the_address_is_served_until_the_last_worker_has_ended(start_hub: StartHub) -> None:
    two = TwoWorkers(start_hub, drain_seconds=600)
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(Stream(two.hub.url))
        two.parent.send_signal(signal.SIGTERM)
        found = scrape_until(
            two.port,
            "both drain",
            lambda s: s.by("state", "relay_worker_state") == {"draining": 2},
        )
        assert found.by("state", "relay_workers") == {"answering": 2}
        assert two.hub.process is not None
        two.hub.process.send_signal(signal.SIGINT)
        assert two.hub.process.wait(20) == 0
    assert "Traceback" not in two.hub.log()


def test_a_taken_address_does_not_keep_the_workers_from_serving(
    two: TwoWorkers, start_hub: StartHub
) -> None:
    other = start_hub(RELAY_WORKERS="2", RELAY_ADMIN_ADDRESS=f"127.0.0.1:{two.port}")
    other.wait_for_log("The metrics cannot be served at 127.0.0.1:")
    other.wait_for_log("2 workers")
    with Stream(other.url):
        assert scrape(two.port).sum("relay_streams") == 0
    assert other.stop() == 0
    assert "Traceback" not in other.log()
    wait_until(lambda: scrape(two.port).workers() == {"1", "2"}, "the first one still answers")
