"""Several hub processes on one Redis, and their faults: no message is lost without a gap."""

import signal
import time
from functools import partial

import pytest

from relay.history.page_cache import KEPT_SECONDS, PAGE_ENTRIES, TAIL_SECONDS
from tests.support.follower import Follower, Publisher, finish
from tests.support.history import entries
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.waiting import wait_until


def followers_of(*hubs: HubProcess) -> list[Follower]:
    """One for each hub; each goes on with the next hub when its own fails."""
    urls = [hub.url for hub in hubs]
    followers = [Follower(urls[n:] + urls[:n]) for n in range(len(urls))]
    for follower in followers:
        follower.start()
    for hub in hubs:
        hub.wait_for_streams(1)
    return followers


def clients(redis_server: RedisServer, kind: str) -> list[int]:
    """The Redis client ids of the hubs' subscriptions, oldest first."""
    with redis_server.client() as client:
        return sorted(int(c["id"]) for c in client.client_list() if c["name"] == kind)


def subscribed_anew(redis_server: RedisServer, before: list[int]) -> bool:
    now = clients(redis_server, "relay-hub")
    return len(now) == len(before) and now != before


@pytest.fixture
def two(start_hub: StartHub) -> list[HubProcess]:
    return [start_hub(), start_hub()]


def test_every_process_gives_a_message_the_same_id(
    two: list[HubProcess], redis_server: RedisServer
) -> None:
    followers = followers_of(*two)
    with Publisher(redis_server, rate=2000) as publisher:
        wait_until(lambda: publisher.number > 2000, "2,000 are published")
        assert finish(publisher, followers) == [0, 0]
    ids = [[(e.id, e.data) for e in f.events] for f in followers]
    assert ids[0] == ids[1]


def test_a_process_that_joins_under_load_counts_right_from_its_first_message(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hubs = [start_hub()]
    followers = followers_of(*hubs)
    with Publisher(redis_server, rate=10_000) as publisher:
        for _ in range(3):
            wait_until(lambda: publisher.number > 1000, "load")
            late = start_hub()
            late.wait_for_streams(0)
            follower = Follower([late.url])
            follower.start()
            late.wait_for_streams(1)
            hubs.append(late)
            followers.append(follower)
        assert finish(publisher, followers) == [0, 0, 0, 0]


def test_kill_9_of_one_of_three(start_hub: StartHub, redis_server: RedisServer) -> None:
    hubs = [start_hub() for _ in range(3)]
    followers = followers_of(*hubs)
    with Publisher(redis_server, rate=3000) as publisher:
        wait_until(lambda: publisher.number > 3000, "load")
        hubs[0].kill()
        wait_until(lambda: followers[0].connects > 1, "its client is elsewhere")
        publisher.wait_for_more(3000)
        assert finish(publisher, followers) == [0, 0, 0]


@pytest.mark.parametrize("writer", [0, 1], ids=["first", "second"])
def test_a_killed_connection_loses_nothing_while_another_process_listens(
    two: list[HubProcess], redis_server: RedisServer, writer: int
) -> None:
    followers = followers_of(*two)
    with Publisher(redis_server, rate=3000) as publisher:
        for _ in range(3):
            publisher.wait_for_more(1500)
            [*ids] = clients(redis_server, "relay-hub")
            assert len(ids) == 2
            with redis_server.client() as client:
                client.client_kill_filter(_id=str(ids[writer]))
            wait_until(partial(subscribed_anew, redis_server, ids), "it is subscribed again")
        assert finish(publisher, followers) == [0, 0]
    for follower in followers:
        assert follower.connects == 1


def test_a_killed_connection_of_the_only_process_is_one_gap(
    hub: HubProcess, redis_server: RedisServer
) -> None:
    followers = followers_of(hub)
    with Publisher(redis_server, rate=1000) as publisher:
        wait_until(lambda: publisher.number > 1000, "load")
        with redis_server.client() as client:
            assert client.client_kill_filter(_type="pubsub") == 1
        hub.wait_for_redis("live")
        publisher.wait_for_more(1000)
        assert finish(publisher, followers) == [1]


def test_both_connections_killed_at_once_is_a_gap_for_every_client(
    two: list[HubProcess], redis_server: RedisServer
) -> None:
    followers = followers_of(*two)
    with Publisher(redis_server, rate=1000) as publisher:
        wait_until(lambda: publisher.number > 1000, "load")
        with redis_server.client() as client:
            client.client_kill_filter(_type="pubsub")
        publisher.wait_for_more(3000)
        assert finish(publisher, followers) in ([1, 1], [1, 0], [0, 1])


@pytest.mark.long
def test_a_process_that_hung_for_ten_seconds_goes_on_where_it_was(
    two: list[HubProcess], redis_server: RedisServer
) -> None:
    followers = followers_of(*two)
    with Publisher(redis_server, rate=1000) as publisher:
        wait_until(lambda: publisher.number > 1000, "load")
        process = two[0].process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        time.sleep(10)  # the length of the stall is what is tested
        process.send_signal(signal.SIGCONT)
        publisher.wait_for_more(2000)
        assert finish(publisher, followers) == [0, 0]


@pytest.mark.long
def test_a_rolling_restart_loses_nothing_and_no_client_sees_a_gap(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hubs = [start_hub() for _ in range(3)]
    followers = followers_of(*hubs)
    with Publisher(redis_server, rate=1000) as publisher:
        for hub in hubs:
            wait_until(lambda: publisher.number > 500, "load")
            assert hub.stop() == 0
            hub.start()
            publisher.wait_for_more(1000)
        assert finish(publisher, followers) == [0, 0, 0]


def test_a_restart_of_the_only_process_is_a_gap_and_no_received_message_is_lost(
    hub: HubProcess, redis_server: RedisServer
) -> None:
    [follower] = followers_of(hub)
    with Publisher(redis_server, rate=1000) as publisher:
        wait_until(lambda: publisher.number > 1000, "load")
        assert hub.stop() == 0
        hub.start()
        publisher.wait_for_more(1000)
        assert finish(publisher, [follower]) == [1]
    [gap] = [e for e in follower.events if e.event == "hub.gap"]
    assert (gap.json()["reason"], gap.json()["missed"]) == ("unheard", None)


def test_redis_killed_and_restarted_is_one_gap_and_ids_go_on(
    two: list[HubProcess], redis_server: RedisServer
) -> None:
    followers = followers_of(*two)
    for n in range(3):
        redis_server.publish(str(n))
    for follower in followers:
        follower.wait_for("2")
    redis_server.kill()
    for hub in two:
        hub.wait_for_redis("lost")
    redis_server.start()
    for hub in two:
        hub.wait_for_redis("live")
    publisher = Publisher(redis_server, rate=1, number=3)
    assert finish(publisher, followers) == [1, 1]


@pytest.mark.long
def test_a_client_cut_five_times_a_second_for_a_minute_loses_and_doubles_nothing(
    two: list[HubProcess], redis_server: RedisServer
) -> None:
    urls = [hub.url for hub in two]
    followers = [Follower(urls, cut_seconds=0.2), Follower(urls[::-1], cut_seconds=0.2)]
    with Publisher(redis_server, rate=1000) as publisher:
        for follower in followers:
            follower.start()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.2)
            followers[0].cut()  # wherever it is, in the middle of a frame as well
        assert finish(publisher, followers) == [0, 0]
    assert min(f.connects for f in followers) > 100


def script_calls(redis_server: RedisServer, command: str) -> int:
    with redis_server.client() as client:
        stats = client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})
    return int(stats["calls"])


def test_four_processes_write_the_history_once(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hubs = [start_hub(RELAY_HISTORY_SIZE=1_000_000) for _ in range(4)]
    followers = followers_of(*hubs)
    before = script_calls(redis_server, "evalsha")
    with Publisher(redis_server, rate=5000) as publisher:
        wait_until(lambda: publisher.number > 20_000, "20,000 are published")
        assert finish(publisher, followers) == [0] * 4
    wait_until(lambda: len(entries(redis_server)) == publisher.number + 1 + 4, "all is written", 10)
    assert script_calls(redis_server, "xadd") == publisher.number + 1 + 4
    # One process writes every second, after a marker, or for 512; that the others only look is no script.
    assert script_calls(redis_server, "evalsha") - before < 2 * 50 * 10


def test_the_history_keeps_up_with_20_000_messages_a_second(
    hub: HubProcess, redis_server: RedisServer
) -> None:
    with Publisher(redis_server, rate=20_000) as publisher:
        wait_until(lambda: publisher.number > 60_000, "60,000 are published")
        last = publisher.stop()
    wait_until(
        lambda: entries(redis_server)[-1][0].endswith(f"-{last}"), "the history is complete", 10
    )
    found = entries(redis_server)
    assert all(b"b" not in fields for _, fields in found)
    assert len(found) >= 10_000
    assert [i.partition("-")[2] for i, _ in found] == [
        str(n) for n in range(last - len(found) + 1, last + 1)
    ]


def test_a_crowd_with_ids_outside_the_ring_reads_the_history_once(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub()
    [follower] = followers_of(hub)
    with Publisher(redis_server, rate=5000) as publisher:
        wait_until(lambda: publisher.number > 3000, "3,000 are published")
        finish(publisher, [follower])
    total = publisher.number + 1
    wait_until(lambda: len(entries(redis_server)) == total + 1, "all is written")
    fresh = start_hub()
    crowd = [Follower([fresh.url], last_id=follower.events[n].id) for n in range(100)]
    began = time.monotonic()
    for one in crowd:
        one.start()
    fresh.wait_for_streams(100)
    for n, one in enumerate(crowd):
        one.wait_for(str(total - 1))
        one.stop()
        assert [e.data for e in one.events] == [str(m) for m in range(n + 1, total)]
    took = time.monotonic() - began  # as long as it takes the clients to read all of it
    pages = total // PAGE_ENTRIES + 1
    most = pages * (took / KEPT_SECONDS + 1) + took / TAIL_SECONDS + 1
    assert fresh.health()["pages_read"] <= most
    assert fresh.health()["resumed"] == 100


def test_connections_that_are_killed_in_turn_are_no_gap(
    two: list[HubProcess], redis_server: RedisServer
) -> None:
    """Each process has a hole of its own while the other one waits for what it has written."""
    followers = followers_of(*two)
    with Publisher(redis_server, rate=230) as publisher:
        publisher.wait_for_more(100)
        for _ in range(6):
            with redis_server.client() as client:
                client.client_kill_filter(_id=str(clients(redis_server, "relay-hub")[0]))
            publisher.wait_for_more(276)  # in 1.2 s
        assert finish(publisher, followers) == [0, 0]
