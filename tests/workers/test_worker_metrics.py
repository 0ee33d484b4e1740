"""The metrics of a host with workers: one answer for all, whatever happens to one of them."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing

import psutil
import pytest

from tests.support.client import Stream
from tests.support.metrics import Samples, details, scrape, scrape_until
from tests.support.servers import HubProcess, RedisServer, StartHub, free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

LIVE = "relay_redis_live"


class TwoWorkers:
    def __init__(self, redis: RedisServer, drain_seconds: float) -> None:
        self.port = free_port()
        self.redis = redis
        self.hub = HubProcess(
            redis.url,
            RELAY_WORKERS="2",
            RELAY_RETRY_MS="200",
            RELAY_DRAIN_SECONDS=drain_seconds,
            RELAY_ADMIN_ADDRESS=f"127.0.0.1:{self.port}",
        )
        self.hub.wait_for_log("2 workers")

    def close(self) -> None:
        self.hub.close()

    @property
    def parent(self) -> psutil.Process:
        assert self.hub.process is not None
        return psutil.Process(self.hub.process.pid)


@pytest.fixture(scope="module")
def served(redis_of_module: RedisServer) -> Iterator[TwoWorkers]:
    with closing(TwoWorkers(redis_of_module, drain_seconds=1)) as two:
        yield two


@pytest.fixture
def two(served: TwoWorkers) -> TwoWorkers:
    """Shared by the tests after which both answer again."""
    scrape_until(served.port, "both are live", lambda s: s.by("worker", LIVE) == {"1": 1, "2": 1})
    return served


@pytest.fixture
def own_two(redis_server: RedisServer) -> Iterator[TwoWorkers]:
    """For a test that ends them, or has them drain for as long as it likes."""
    with closing(TwoWorkers(redis_server, drain_seconds=600)) as two:
        yield two


def test_each_worker_has_its_label_and_the_sums_are_those_of_the_host(two: TwoWorkers) -> None:
    before = scrape(two.port)

    def more(found: Samples, name: str) -> dict[str, float]:
        """By how much this has grown, by worker."""
        earlier = before.by("worker", name)
        return {
            label: value - earlier.get(label, 0)
            for label, value in found.by("worker", name).items()
        }

    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(Stream(two.hub.url))
        two.redis.publish("hello")
        found = scrape_until(
            two.port,
            "all were sent it",
            lambda s: sum(more(s, "relay_sent_messages_total").values()) == 40,
        )
    assert found.workers() == {"1", "2"}
    assert sum(more(found, "relay_streams_opened_total").values()) == 40
    assert more(found, "relay_received_messages_total") == {"1": 1, "2": 1}
    assert found.by("worker", LIVE) == {"1": 1, "2": 1}
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
    deaths = scrape(two.port).sum("relay_worker_deaths_total")
    psutil.Process(victim).kill()
    found = scrape_until(
        two.port,
        "it was replaced",
        lambda s: s.sum("relay_worker_deaths_total") == deaths + 1 and s.workers() == {"1", "2"},
    )
    assert found.by("state", "relay_workers") == {"answering": 2}
    assert details(two.port)["workers"]["1"]["pid"] != victim


def test_a_worker_that_drains_is_there_until_it_has_ended(own_two: TwoWorkers) -> None:
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(Stream(own_two.hub.url))
        old = {worker["pid"] for worker in details(own_two.port)["workers"].values()}
        own_two.parent.send_signal(signal.SIGHUP)
        labels = {"1", "2", *(f"draining-{pid}" for pid in old)}
        found = scrape_until(own_two.port, "all four answer", lambda s: s.workers() == labels)
        assert found.by("state", "relay_worker_state") == {"serving": 2, "draining": 2}
        for pid in old:
            state = found.sum("relay_worker_state", worker=f"draining-{pid}", state="draining")
            assert state == 1
        told = {w["pid"] for label, w in details(own_two.port)["workers"].items() if "-" in label}
        assert told == old
        for pid in old:
            psutil.Process(pid).kill()
        scrape_until(own_two.port, "the old ones have gone", lambda s: s.workers() == {"1", "2"})
    assert own_two.hub.stop() == 0
    assert "Traceback" not in own_two.hub.log()


def test_the_address_is_served_until_the_last_worker_has_ended(own_two: TwoWorkers) -> None:
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(Stream(own_two.hub.url))
        own_two.parent.send_signal(signal.SIGTERM)
        found = scrape_until(
            own_two.port,
            "both drain",
            lambda s: s.by("state", "relay_worker_state") == {"draining": 2},
        )
        assert found.by("state", "relay_workers") == {"answering": 2}
        assert own_two.hub.process is not None
        own_two.hub.process.send_signal(signal.SIGINT)
        assert own_two.hub.process.wait(20) == 0
    assert "Traceback" not in own_two.hub.log()


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
