"""Stream channels where the master changes: Sentinel, and a Redis Cluster with channels on several nodes."""

import json
import signal
import time
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.crc import key_slot
from redis.retry import Retry

from tests.support.client import Stream
from tests.support.cluster import RedisCluster
from tests.support.command import relay_command
from tests.support.follower import Checker, Follower
from tests.support.redis_versions import PROGRAMS
from tests.support.sentinel import SentinelDeployment
from tests.support.servers import StartHub
from tests.support.waiting import wait_until

CHANNELS = "orders.*=public+stream"


def client_of(cluster: RedisCluster) -> Any:
    nodes = [ClusterNode("127.0.0.1", node.port) for node in cluster.nodes]
    return redis.RedisCluster(startup_nodes=nodes, socket_timeout=2, retry=Retry(NoBackoff(), 3))


def until_added(client: Any, channel: str, text: str) -> None:
    """Adds an entry; while the master changes it tries again, with an id of its own."""

    def added() -> bool:
        try:
            client.xadd(channel, {"data": text})
        except (redis.exceptions.RedisError, OSError):
            return False
        return True

    wait_until(added, f"{text} is added", 20)


@pytest.mark.parametrize("deployment", PROGRAMS, indirect=True)
def test_a_planned_failover_loses_nothing_of_a_stream_channel(
    start_hub: StartHub, deployment: SentinelDeployment
) -> None:
    """The old master is made a replica first, so that the new one has everything."""
    hub = start_hub(redis_url=deployment.url, RELAY_CHANNELS=CHANNELS)
    old = deployment.master
    follower = Follower([hub.url], path="/stream/?channel=orders.1&rewind=all")
    follower.start()
    with old.client() as client:
        for number in range(500):
            client.xadd("orders.1", {"data": str(number)})
        follower.wait_for("499")
        client.execute_command("WAIT", 2, 5000)
    deployment.fail_over()
    new = deployment.wait_for_another(old)
    with new.client() as client:
        for number in range(500, 1000):
            until_added(client, "orders.1", str(number))
    follower.wait_for("999")
    follower.stop()
    assert Checker().check(follower.events, 1000) == 0
    assert f"127.0.0.1:{new.port}: is the master now; 1 stream channels move there" in hub.log()


def test_a_dead_master_that_takes_entries_with_it_is_told(
    start_hub: StartHub, deployment: SentinelDeployment
) -> None:
    hub = start_hub(redis_url=deployment.url, RELAY_CHANNELS=CHANNELS)
    old = deployment.master
    with Stream(hub.url, "/stream/?channel=orders.1&rewind=all", timeout=30) as stream:
        with old.client() as client:
            client.xadd("orders.1", {"data": "kept"})
            client.execute_command("WAIT", 2, 5000)
            assert stream.event().data == "kept"
            replicas = [server for server in deployment.servers if server is not old]
            for replica in replicas:
                replica.signal(signal.SIGSTOP)
            client.client_kill_filter(_type="replica")
            for number in range(20):
                client.xadd("orders.1", {"data": f"lost {number}"})
            assert stream.data(20)[-1] == "lost 19"
        old.kill()
        for replica in replicas:
            replica.signal(signal.SIGCONT)
        new = deployment.wait_for_another(old, 30)
        with new.client() as client:
            assert client.xlen("orders.1") == 1
            until_added(client, "orders.1", "after")
            gap = stream.event()
            assert json.loads(gap.data)["reason"] == "reset"
            assert stream.event().data == "after"


@pytest.mark.parametrize("cluster", PROGRAMS, indirect=True)
def test_channels_on_all_nodes_of_a_cluster_and_a_failover(
    start_hub: StartHub, cluster: RedisCluster
) -> None:
    hub = start_hub(redis_url=cluster.url, RELAY_CHANNELS=CHANNELS)
    names = [f"orders.{n}" for n in range(12)]
    query = "&".join(f"channel={name}" for name in names)
    follower = Follower([hub.url], path=f"/stream/?{query}")
    client = client_of(cluster)
    for name in names:
        client.xadd(name, {"data": "before"})
    follower.start()
    wait_until(lambda: _is_whole(follower, names) or _nudge(client, names), "its id has all")
    owner = cluster.owner(names[0])
    new = cluster.fail_over(owner)
    sent = [f"{name} {number}" for number in range(50) for name in names]
    for text in sent:
        until_added(client, text.split()[0], text)
    wait_until(lambda: {e.data for e in follower.events} >= set(sent), "everything has come", 20)
    follower.stop()
    assert [e for e in follower.events if e.event == "hub.gap"] == []
    got = [e.data for e in follower.events if e.data in set(sent)]
    for name in names:
        of_channel = [text for text in got if text.startswith(f"{name} ")]
        assert of_channel == [f"{name} {number}" for number in range(50)]
    assert f"127.0.0.1:{new.port}: is the master now" in hub.log()


def _is_whole(follower: Follower, names: list[str]) -> bool:
    """Whether the client has an id with a position in each channel."""
    newest = follower.events[-1].id if follower.events else ""
    return all(f"&{name}=" in newest for name in names)


def _nudge(client: Any, names: list[str]) -> bool:
    """Adds to each channel, so that the client has an id with all of them."""
    for name in names:
        client.xadd(name, {"data": "nudge"})
    time.sleep(0.05)
    return False


def test_a_slot_that_moves_to_another_node_loses_nothing(
    start_hub: StartHub, cluster: RedisCluster
) -> None:
    hub = start_hub(redis_url=cluster.url, RELAY_CHANNELS=CHANNELS)
    follower = Follower([hub.url], path="/stream/?channel=orders.1&rewind=all")
    follower.start()
    client = client_of(cluster)
    source = cluster.owner("orders.1")
    target = next(n for n in cluster.nodes if n.role() == b"master" and n is not source)
    number = 0
    for _ in range(3):
        for _ in range(200):
            until_added(client, "orders.1", str(number))
            number += 1
        cluster.move_slot(key_slot(b"orders.1"), source, target)
        source, target = target, source
    until_added(client, "orders.1", str(number))
    follower.wait_for(str(number))
    follower.stop()
    assert Checker().check(follower.events, number + 1) == 0


def test_publishing_from_the_command_line_finds_the_node(cluster: RedisCluster) -> None:
    result = relay_command(
        *("publish", "orders.5", "x", "--count", "3"),
        REDIS_URL=cluster.url,
        RELAY_CHANNELS=CHANNELS,
    )
    assert result.stdout == "3 added to the stream orders.5\n", result.stderr
    assert client_of(cluster).xlen("orders.5") == 3
