"""Stream channels under load, with several hubs and their faults: all entries come once, without a gap."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from tests.support.follower import Follower, Publisher, finish
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.waiting import wait_until

CHANNEL = "orders.1"
PATH = f"/stream/?channel={CHANNEL}"
SETTINGS = {"RELAY_CHANNELS": "orders.*=public+stream", "RELAY_RETRY_MS": 50}


@pytest.fixture
def hubs(start_hub: StartHub) -> list[HubProcess]:
    return [start_hub(**SETTINGS) for _ in range(2)]


def follow(*hubs: HubProcess) -> list[Follower]:
    """One for each hub; each goes on with the next hub when its own fails."""
    urls = [hub.url for hub in hubs]
    followers = [Follower(urls[n:] + urls[:n], path=PATH) for n in range(len(urls))]
    for follower in followers:
        follower.start()
    for hub in hubs:
        hub.wait_for_streams(1)
    return followers


@contextmanager
def load(redis_server: RedisServer, followers: list[Follower]) -> Iterator[Publisher]:
    """Adds 3,000 entries a second, once each follower has an id to come back with."""
    with Publisher(redis_server, 3000, CHANNEL, stored=True) as publisher:
        wait_until(lambda: all(f.events for f in followers), "each has an event")
        publisher.wait_for_more(1000)
        yield publisher


def test_every_process_delivers_every_entry_once(
    hubs: list[HubProcess], redis_server: RedisServer
) -> None:
    followers = follow(*hubs)
    with load(redis_server, followers) as publisher:
        assert finish(publisher, followers) == [0, 0]
    ids = [{(e.id, e.data) for e in f.events} for f in followers]
    assert ids[0] <= ids[1] or ids[1] <= ids[0]


def test_kill_9_of_all_hubs_under_load_loses_nothing(
    hubs: list[HubProcess], redis_server: RedisServer
) -> None:
    followers = follow(*hubs)
    with load(redis_server, followers) as publisher:
        for _ in range(2):
            for hub in hubs:
                hub.kill()
            publisher.wait_for_more(2000)
            for hub in hubs:
                hub.start()
            publisher.wait_for_more(2000)
        assert finish(publisher, followers) == [0, 0]


def test_killed_connections_under_load_lose_nothing(
    hubs: list[HubProcess], redis_server: RedisServer
) -> None:
    followers = follow(*hubs)
    with load(redis_server, followers) as publisher, redis_server.client() as client:
        for _ in range(5):
            for each in client.client_list():
                if each["name"].startswith("relay-hub"):
                    client.client_kill_filter(_id=each["id"])
            publisher.wait_for_more(1000)
        assert finish(publisher, followers) == [0, 0]
    assert [follower.connects for follower in followers] == [1, 1]


def test_a_hung_redis_loses_nothing(hubs: list[HubProcess], redis_server: RedisServer) -> None:
    followers = follow(*hubs)
    with load(redis_server, followers) as publisher, redis_server.client() as client:
        publisher.stop()
        number = publisher.number
        client.execute_command("CLIENT", "PAUSE", "3500", "ALL")
        wait_until(lambda: all(h.health()["redis"] == "lost" for h in hubs), "it is noticed", 10)
        wait_until(lambda: all(h.health()["redis"] == "live" for h in hubs), "it is back", 10)
        assert publisher.number == number
        assert finish(publisher, followers) == [0, 0]


def test_a_redis_that_restarts_with_its_file_loses_nothing(start_hub: StartHub) -> None:
    redis_server = RedisServer("--appendonly", "yes", "--appendfsync", "always")
    try:
        hub = start_hub(redis_url=redis_server.url, **SETTINGS)
        followers = follow(hub)
        with Publisher(redis_server, 3000, CHANNEL, stored=True) as publisher:
            wait_until(lambda: bool(followers[0].events), "it has an event")
            publisher.wait_for_more(1000)
            publisher.stop()
            redis_server.kill()
            hub.wait_for_redis("lost")
            redis_server.start()
            hub.wait_for_redis("live", 10)
            assert finish(publisher, followers) == [0]
    finally:
        redis_server.close()


def test_a_redis_that_restarts_empty_is_told(
    hubs: list[HubProcess], redis_server: RedisServer
) -> None:
    followers = follow(hubs[0])
    with redis_server.client() as client:
        # Again and again: a channel that nobody had begins some time after its stream was opened.
        added = partial(client.xadd, CHANNEL, {"data": "0"})
        wait_until(lambda: added() and followers[0].events, "an entry has come")
        redis_server.kill()
        hubs[0].wait_for_redis("lost")
        redis_server.start()
        hubs[0].wait_for_redis("live", 10)
        wait_until(lambda: followers[0].events[-1].event == "hub.gap", "the gap has come")
        assert '"reason":"reset"' in followers[0].events[-1].data
        client.xadd(CHANNEL, {"data": "1"}, id="1-1")
        followers[0].wait_for("1")
    followers[0].stop()


def test_a_client_that_never_reads_delays_no_other_and_gets_everything(
    hubs: list[HubProcess], redis_server: RedisServer
) -> None:
    """Reading stops while it has to, and a client far behind is sent the rest of the ring."""
    followers = follow(hubs[0])
    with Publisher(redis_server, 20_000, CHANNEL, stored=True) as publisher:
        wait_until(lambda: bool(followers[0].events), "it has an event")
        publisher.wait_for_more(20_000)
        late = Follower([hubs[1].url], path=PATH + "&rewind=all")
        late.start()
        publisher.wait_for_more(20_000)
        assert finish(publisher, [*followers, late]) == [0, 0]
    assert late.events[0].data == "0"


def test_a_process_that_hangs_reads_on_where_it_was(
    hubs: list[HubProcess], redis_server: RedisServer
) -> None:
    followers = follow(*hubs)
    with load(redis_server, followers) as publisher:
        for hub in hubs:
            assert hub.process is not None
            hub.process.send_signal(signal.SIGSTOP)
        publisher.wait_for_more(3000)
        time.sleep(0.5)
        for hub in hubs:
            assert hub.process is not None
            hub.process.send_signal(signal.SIGCONT)
        assert finish(publisher, followers) == [0, 0]
