"""A master that sentinels replace: the hub follows it, ids never repeat, and each hole is told."""

import asyncio

import pytest

from relay.broker.broker import Broker
from relay.broker.errors import NotMaster
from relay.broker.keys import Keys
from relay.source.epochs import Epochs
from tests.support.client import Stream
from tests.support.command import relay_command
from tests.support.redis_versions import PROGRAMS
from tests.support.sentinel import SERVICE, SentinelDeployment
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.voices import Listeners, Voice
from tests.support.waiting import wait_until, within

KEYS = Keys.of("relay", "demo_stream")


def wait_for_move(hub: HubProcess, new: RedisServer, seconds: float = 10.0) -> None:
    line = f"127.0.0.1:{new.port}: is the master now"
    wait_until(lambda: line in hub.log(), "the hub has moved", seconds)


def test_a_master_that_dies_is_replaced_and_the_hole_is_told_once(
    start_hub: StartHub, deployment: SentinelDeployment
) -> None:
    hubs = [start_hub(redis_url=deployment.url) for _ in range(2)]
    old = deployment.master
    with Stream(hubs[0].url) as one, Stream(hubs[1].url) as other:
        for hub in hubs:
            hub.wait_for_streams(1)
        old.publish("1")
        assert {s.event().data for s in (one, other)} == {"1"}
        old.kill()
        new = deployment.wait_for_another(old)
        with within(2):  # promised: 0.5 s after it takes writes
            told = [stream.event() for stream in (one, other)]
        for gap in told:
            assert (gap.event, gap.json()["missed"]) == ("hub.gap", None)
        new.publish("2")
        after = [stream.event() for stream in (one, other)]
        assert [event.data for event in after] == ["2", "2"]
        assert after[0].id == after[1].id
        for hub in hubs:
            hub.wait_for_redis("live")
            assert hub.health()["gaps_redis_lost"] == 1


@pytest.mark.parametrize("deployment", PROGRAMS, indirect=True)
def test_a_planned_failover_is_noticed_although_nothing_closes(
    start_hub: StartHub, deployment: SentinelDeployment
) -> None:
    """The old master goes on for some seconds, takes messages and would open epochs."""
    hub = start_hub(redis_url=deployment.url)
    old, listeners = deployment.master, Listeners(lambda name, number: False)
    with Stream(hub.url) as stream, Voice("old", old.client, 200):
        hub.wait_for_streams(1)
        events = [stream.event() for _ in range(20)]
        deployment.fail_over()
        new = deployment.wait_for_another(old)
        with within(3), Voice("new", new.client, 200):  # promised: 1.5 s
            for event in stream.events():
                events.append(event)
                if event.data.startswith("new"):
                    break
        assert "lost" not in hub.log()
    assert listeners.check(events) == 1
    wait_for_move(hub, new)


def test_a_replica_is_not_listened_to_and_gets_no_marker(deployment: SentinelDeployment) -> None:
    """As when a sentinel still names a master that was demoted."""
    replica = next(s for s in deployment.servers if s is not deployment.master)

    async def attempts() -> None:
        broker = Broker(deployment.url)
        await broker.topology.look()
        at = broker.topology._at("127.0.0.1", replica.port)  # type: ignore[attr-defined]
        with pytest.raises(NotMaster, match="is a replica now"):
            await at.connect(lambda messages: None)
        with pytest.raises(NotMaster, match="READONLY"):
            await Epochs(broker, KEYS).open(at, 0)
        await broker.aclose()

    with replica.client() as client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe(KEYS.marker(""))
        pubsub.get_message(timeout=5)
        asyncio.run(attempts())
        assert pubsub.get_message(timeout=0.2) is None


def test_a_hub_that_starts_before_the_sentinels_waits_for_them_and_says_so(
    start_hub: StartHub, deployment: SentinelDeployment
) -> None:
    hub = start_hub(redis_url=deployment.url)
    for sentinel in deployment.sentinels[:2]:
        sentinel.kill()
    hub.wait_for_log(f"{SERVICE} (")
    hub.wait_for_log("only 1 of 3 sentinels answer")
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        deployment.master.publish("still")
        assert stream.event().data == "still"
    deployment.sentinels[2].kill()
    hub.wait_for_log("no sentinel names a master")
    assert hub.health()["redis"] == "live"
    for sentinel in deployment.sentinels:
        sentinel.start()
    hub.wait_for_log("its masters are known again")


def _lists_a_live_process(server: RedisServer) -> bool:
    with server.client() as client:
        if not client.zcard("relay:{control}:processes"):
            return False
        reports = [client.get(key) for key in client.keys("relay:{control}:report:*")]
    return any(b'"state":"live"' in (report or b"") for report in reports)


@pytest.mark.parametrize("command", ["check", "status", "publish", "kick"])
def test_the_commands_follow_the_master(
    start_hub: StartHub, deployment: SentinelDeployment, command: str
) -> None:
    hub = start_hub(redis_url=deployment.url)
    old = deployment.master
    words = {
        "publish": ["publish", "demo_stream", "by the command"],
        "kick": ["kick", "--all"],
    }.get(command, [command])
    old.kill()
    new = deployment.wait_for_another(old)
    wait_for_move(hub, new)
    wait_until(lambda: deployment.master is new, "the sentinels name it", 15)
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        wait_until(lambda: _lists_a_live_process(new), "the new master lists the hub as live", 3)
        done = relay_command(*words, REDIS_URL=deployment.url)
        assert done.returncode == 0, done.stderr
        if command == "publish":
            messages = (event for event in stream.events() if event.event == "message")
            assert next(messages).data == "by the command"
        elif command == "kick":
            assert [e.event for e in stream.events() if e.event == "message"] == []  # it ends
        else:
            assert f"127.0.0.1:{deployment.master.port}" in done.stdout
