"""Redis refuses to write, loses the history, or is another one: live goes on, replay is honest."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis

from relay.wire.position import Position
from tests.support.client import Stream
from tests.support.forwarder import Forwarder
from tests.support.history import (
    LOG,
    collect,
    logged,
    numbers,
    position,
    publish,
    read_to,
    shown,
    wait_until_logged,
)
from tests.support.servers import RedisServer, StartHub
from tests.support.waiting import wait_until, within

Way = Callable[["redis.Redis"], object]

REFUSALS: dict[str, tuple[Way, Way]] = {
    "oom": (
        lambda client: client.config_set("maxmemory", "1"),
        lambda client: client.config_set("maxmemory", "0"),
    ),
    "read-only": (
        lambda client: client.execute_command("REPLICAOF", "127.0.0.1", "1"),
        lambda client: client.execute_command("REPLICAOF", "NO", "ONE"),
    ),
    "acl": (
        lambda client: client.execute_command("ACL", "SETUSER", "default", "-xadd", "-set"),
        lambda client: client.execute_command("ACL", "SETUSER", "default", "+xadd", "+set"),
    ),
}


@contextmanager
def refusing(redis_server: RedisServer, way: str) -> Iterator[None]:
    refuse, allow = REFUSALS[way]
    with redis_server.client() as client:
        refuse(client)
        try:
            yield
        finally:
            allow(client)


@pytest.mark.parametrize("way", REFUSALS)
def test_live_and_the_ring_go_on_and_the_history_recovers_by_itself(
    start_hub: StartHub, redis_server: RedisServer, way: str
) -> None:
    hub = start_hub()
    first = collect(hub, redis_server, 3)
    with Stream(hub.url, last_id=first[-1].id) as stream:
        with refusing(redis_server, way):
            publish(redis_server, 4, 6)
            assert shown(read_to(stream, "6")) == numbers(4, 6)
            wait_until(lambda: "history cannot be written" in hub.log(), "the operator is told")
            with Stream(hub.url, last_id=first[0].id) as again:
                assert shown(read_to(again, "6")) == numbers(2, 6)
            late = start_hub()  # a process that joins just now counts like the others
            with Stream(late.url) as other:
                late.wait_for_streams(1)
                publish(redis_server, 7, 7)
                assert other.event().id == stream.event().id
        publish(redis_server, 8, 9)
        last = read_to(stream, "9")[-1]
        wait_until_logged(redis_server, last.id)
    wait_until(lambda: "history is written again" in hub.log() + late.log(), "and told again")
    assert (hub.log() + late.log()).count("history cannot be written") <= 2
    fresh = start_hub()
    with Stream(fresh.url, last_id=first[0].id) as stream:
        assert shown(read_to(stream, "9")) == numbers(2, 9)


def test_a_channel_that_redis_denies_is_named_and_entered_when_it_may_be(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_CHANNELS="prices orders")
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "resetchannels")
        client.execute_command("ACL", "SETUSER", "default", "&demo_stream", "&orders", "&relay:*")
        with Stream(hub.url, "/stream/?channel=orders&channel=prices") as stream:
            wait_until(lambda: "prices: Redis refused" in hub.log(), "the channel is named")
            hub.wait_for_redis("live")
            redis_server.publish("0", "demo_stream")
            wait_until(lambda: hub.health()["messages"] == 1, "the others go on")
            client.execute_command("ACL", "SETUSER", "default", "allchannels")
            while not (stream.lines and stream.lines[-1].startswith(b"id: ")):
                stream.line()
            redis_server.publish("1", "prices")
            messages = (event for event in stream.events() if event.event == "message")
            assert next(messages).data == "1"
    assert "orders: Redis refused" not in hub.log()


@pytest.mark.parametrize("way", ["delete", "flushall"])
def test_a_lost_history_is_written_again_from_the_ring(
    start_hub: StartHub, redis_server: RedisServer, way: str
) -> None:
    hub = start_hub()
    first = collect(hub, redis_server, 5)
    with redis_server.client() as client:
        client.delete(LOG) if way == "delete" else client.flushall()
    with Stream(hub.url, last_id=first[-1].id) as stream:
        publish(redis_server, 6, 8)
        last = read_to(stream, "8")[-1]
    wait_until_logged(redis_server, last.id)
    fresh = start_hub()
    publish(redis_server, 9, 9)
    with Stream(fresh.url, last_id=first[0].id) as stream:
        events = read_to(stream, "9")
    assert shown(events) == numbers(2, 9)
    assert position(events[-1].id) > position(events[-2].id)


def test_each_channel_that_redis_denies_is_logged_once(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_CHANNELS="prices.* wages")
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "resetchannels")
        client.execute_command("ACL", "SETUSER", "default", "&demo_stream", "&relay:*")
        with Stream(hub.url, "/stream/?channel=prices.1&channel=prices.2&channel=wages"):
            wait_until(
                lambda: sum(int(entry["count"]) for entry in client.acl_log()) >= 12,
                "they are tried again and again",
            )
    for name in ("prices.*: Redis refused", "wages: Redis refused"):
        assert hub.log().count(name) == 1


def test_ids_do_not_repeat_when_everything_is_lost_at_once(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub()
    seen = {e.id for e in collect(hub, redis_server, 5)}
    for _ in range(3):
        hub.stop()
        with redis_server.client() as client:
            client.flushall()
        hub.start()
        with Stream(hub.url) as stream:
            hub.wait_for_streams(1)
            publish(redis_server, 1, 5)
            ids = {e.id for e in read_to(stream, "5")}
        assert not ids & seen
        seen |= ids


@pytest.fixture
def replica(redis_server: RedisServer) -> Iterator[RedisServer]:
    server = RedisServer("--replicaof", "127.0.0.1", str(redis_server.port))
    with server.client() as client:
        wait_until(
            lambda: client.info("replication")["master_link_status"] == "up",
            "the replica follows",
            20,
        )
    yield server
    server.close()


def test_a_promoted_replica_with_a_shorter_history_is_honest(
    start_hub: StartHub, redis_server: RedisServer, replica: RedisServer
) -> None:
    with Forwarder(redis_server.port) as forwarder:
        hub = start_hub(redis_url=forwarder.url)
        first = collect(hub, redis_server, 50)
        with replica.client() as client:
            wait_until(lambda: client.xlen(LOG) == 51, "it is replicated")
            client.execute_command("REPLICAOF", "NO", "ONE")
        with Stream(hub.url, last_id=first[-1].id) as stream:
            publish(redis_server, 51, 80)
            more = read_to(stream, "80")
            wait_until_logged(redis_server, more[-1].id)
            forwarder.target = replica.port
            redis_server.kill()
            gap = stream.event()
            assert (gap.event, gap.json()["missed"]) == ("hub.gap", None)
            publish(replica, 81, 83)
            last = read_to(stream, "83")
        wait_until_logged(replica, last[-1].id)
        fresh = start_hub(redis_url=forwarder.url)
        for last_id, expected in [
            (more[20].id, [*numbers(72, 80), None, *numbers(81, 83)]),
            (first[10].id, [*numbers(12, 80), None, *numbers(81, 83)]),
        ]:
            for process in (hub, fresh):
                with Stream(process.url, last_id=last_id) as stream:
                    events = read_to(stream, "83")
                told = [None if e.event == "hub.gap" else e.data for e in events]
                assert told == expected
        ids = [e.id for e in [*first, *more, *last]]
        assert len(set(ids)) == len(ids)


def test_an_isolated_old_master_is_noticed_and_left(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    """Its connections stay open and it answers, but whoever publishes has gone to the new one."""
    new = RedisServer()
    try:
        with Forwarder(redis_server.port) as forwarder:
            hub = start_hub(redis_url=forwarder.url)
            with Stream(hub.url) as stream:
                hub.wait_for_streams(1)
                publish(redis_server, 1, 1)
                assert stream.event().data == "1"
                forwarder.target = new.port
                with within(6):
                    gap = stream.event()
                assert (gap.event, gap.json()["reason"]) == ("hub.gap", "redis-lost")
                publish(new, 2, 2)
                assert stream.event().data == "2"
            assert "published messages no longer arrive" in hub.log()
    finally:
        new.close()


def test_the_newest_position_is_not_trimmed_by_age(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub()
    last = collect(hub, redis_server, 3)[-1]
    assert logged(redis_server)[-1] == Position.parse(last.id)
