"""Redis goes away in every way it can; streams stay, and come back to life by themselves."""

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.client import Stream
from tests.support.forwarder import Forwarder
from tests.support.history import LOG, position
from tests.support.servers import ROOT, HubProcess, RedisServer, StartHub
from tests.support.waiting import at_most, wait_until, within


def documented_rights() -> list[str]:
    """The rights after `ACL SETUSER name on >password` in docs/operations.md."""
    [rights] = re.findall(
        r"ACL SETUSER \S+ on >\S+ (.*)", (ROOT / "docs/operations.md").read_text()
    )
    return str(rights).split()


def lines(hub: HubProcess, level: str) -> list[str]:
    return [line for line in hub.log().splitlines() if f" {level} relay: Redis" in line]


@contextmanager
def outage(hub: HubProcess) -> Iterator[Stream]:
    """A stream open before, during and after; exactly one gap, one warning, one line of return."""
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        yield stream
        gap = stream.event()
        assert gap.event == "hub.gap"
        told = gap.json()
        assert position(told.pop("from")) < position(told.pop("to"))
        assert gap.id == gap.json()["to"]
        assert told == {"channel": "demo_stream", "missed": None, "reason": "redis-lost"}
        after = stream.event()
        assert (after.data, after.id) == ("after", gap.id.replace("-0", "-1"))
        assert len(lines(hub, "WARNING")) == 1
        assert len([line for line in lines(hub, "INFO") if "live again" in line]) == 1
        assert "Traceback" not in hub.log()


def live_again(hub: HubProcess, redis_server: RedisServer, since: float) -> None:
    hub.wait_for_redis("live")
    assert time.monotonic() - since < at_most(1.5)
    redis_server.publish("after")


def test_killed_and_restarted(hub: HubProcess, redis_server: RedisServer) -> None:
    with outage(hub):
        redis_server.kill()
        hub.wait_for_redis("lost")
        time.sleep(2)  # long enough for the pauses between attempts to reach their longest
        redis_server.start()
        live_again(hub, redis_server, time.monotonic())


def test_hung_is_noticed_heartbeats_go_on_and_nothing_is_lost(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_HEARTBEAT_SECONDS=0.5)
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        redis_server.publish("before")
        assert stream.event().data == "before"
        redis_server.signal(signal.SIGSTOP)
        try:
            with within(3):
                hub.wait_for_redis("lost")
            before = len(stream.lines)
            while stream.line() != b":":
                pass
            assert len(stream.lines) > before
        finally:
            redis_server.signal(signal.SIGCONT)
        live_again(hub, redis_server, time.monotonic())
        event = stream.event()
        assert (event.event, event.data) == ("message", "after")
        assert len(lines(hub, "WARNING")) == 1
        assert len([line for line in lines(hub, "INFO") if "live again" in line]) == 1


def test_streams_say_at_once_that_redis_is_lost_and_that_it_is_back(
    hub: HubProcess, redis_server: RedisServer
) -> None:
    """Not with the next heartbeat, which is due in 15 s."""
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        with within(3):
            redis_server.kill()
            while stream.line() != b":redis=lost":
                pass
        with Stream(hub.url) as late:
            assert [late.line() for _ in range(4)][1:] == [b":heartbeat=15", b"", b":redis=lost"]
        with within(5):
            redis_server.start()
            while stream.line() != b":":
                pass


def test_client_kill(hub: HubProcess, redis_server: RedisServer) -> None:
    with outage(hub), redis_server.client() as client:
        assert client.client_kill_filter(_type="pubsub") == 1
        time.sleep(0.05)
        live_again(hub, redis_server, time.monotonic())


def test_password_changed_and_changed_back(hub: HubProcess, redis_server: RedisServer) -> None:
    with outage(hub), redis_server.client() as client:
        client.config_set("requirepass", "another")
        client.client_kill_filter(_type="pubsub")
        hub.wait_for_redis("lost")
        time.sleep(0.5)
        errors = lines(hub, "ERROR")
        assert len(errors) == 1
        assert "NOAUTH" in errors[0]
        assert "REDIS_URL" in errors[0]
        client.config_set("requirepass", "")
        live_again(hub, redis_server, time.monotonic())


def test_acl_denied_and_granted(hub: HubProcess, redis_server: RedisServer) -> None:
    with outage(hub), redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "resetchannels")
        client.client_kill_filter(_type="pubsub")
        hub.wait_for_redis("lost")
        time.sleep(0.5)
        assert len(lines(hub, "ERROR")) == 1
        client.execute_command("ACL", "SETUSER", "default", "allchannels")
        live_again(hub, redis_server, time.monotonic())


def test_resets_by_a_firewall(start_hub: StartHub, redis_server: RedisServer) -> None:
    """Each connection to Redis is reset, while it is idle and while it is used, time and again."""
    with Forwarder(redis_server.port) as forwarder:
        hub = start_hub(redis_url=forwarder.url)
        with Stream(hub.url) as stream:
            hub.wait_for_streams(1)
            for n in range(5):
                for _ in range(20):
                    redis_server.publish("x")
                forwarder.reset()
                hub.wait_for_redis("live")
                redis_server.publish(f"after {n}")
                while stream.event().data != f"after {n}":
                    pass
        assert "Traceback" not in hub.log()
        assert "this is a bug" not in hub.log()


@pytest.mark.long
def test_all_parts_together_try_a_lost_redis_twice_a_second_at_most(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    """The listener, the receiver of kicks, the channel layer, presence, journals, and clients that come."""
    with Forwarder(redis_server.port) as forwarder:
        names = ["demo_stream", *(f"c{n}" for n in range(20))]
        hub = start_hub(redis_url=forwarder.url, RELAY_CHANNELS=" ".join(names))
        query = "&".join(f"channel={name}" for name in names)
        with Stream(hub.url, f"/stream/?{query}"), Stream(hub.url) as stream:
            hub.wait_for_streams(2)
            with redis_server.client() as client:
                wait_until(lambda: len(client.pubsub_channels("c*")) == 20, "all are subscribed to")
            while not stream.line().startswith(b"id:"):
                pass
            for name in names:  # the journals have yet to write it
                redis_server.publish("seen", name)
            seen = stream.event().id
            forwarder.target = 1
            forwarder.reset()
            hub.wait_for_redis("lost")
            time.sleep(2)  # the first attempts come sooner
            before = forwarder.accepted
            for _ in range(10):
                with Stream(hub.url, f"/stream/?last_event_id=1{seen}"):
                    time.sleep(1)
            assert 5 < forwarder.accepted - before <= 20
            forwarder.target = redis_server.port
            live_again(hub, redis_server, time.monotonic())
            while stream.event().data != "after":
                pass


@pytest.mark.parametrize("way", ["kill", "no restart"])
def test_a_hub_under_daphne_waits_for_a_redis_that_is_not_there_yet(
    start_hub: StartHub, redis_server: RedisServer, way: str
) -> None:
    hub = start_hub(command=["-m", "daphne", "-p", "{port}", "hub.asgi:application"])
    if way == "kill":
        redis_server.kill()
        hub.wait_for_redis("lost")
        assert hub.stop() == 0
        return
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        redis_server.publish("at once")
        assert stream.event().data == "at once"


@pytest.mark.parametrize("database", [0, 1])
def test_a_user_with_the_documented_rights_is_enough(
    start_hub: StartHub, redis_server: RedisServer, database: int
) -> None:
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "hub", "on", ">pw", *documented_rights())
    hub = start_hub(redis_url=f"redis://hub:pw@127.0.0.1:{redis_server.port}/{database}")
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        redis_server.publish("allowed")
        first = stream.event()
        assert first.data == "allowed"
    with redis_server.client(db=database) as client:
        wait_until(lambda: client.xlen(LOG) == 2, "the history is written")
    with Stream(hub.url, "/stream/?rewind=all") as stream:
        again = stream.event()
        assert (again.id, again.data) == (first.id, first.data)
        assert client.acl_log() == []
    assert "WARNING" not in hub.log()
    assert "ERROR" not in hub.log()
