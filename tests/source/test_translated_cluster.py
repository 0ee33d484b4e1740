"""A Redis Cluster whose nodes announce other addresses than their own: as behind NAT, or names of hosts."""

from collections.abc import Iterator
from contextlib import closing

import psutil
import pytest

from tests.support.client import Stream
from tests.support.cluster import Node, RedisCluster
from tests.support.command import relay_command
from tests.support.servers import HubProcess, StartHub
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    with closing(RedisCluster(translated=True)) as made:
        yield made


def ports_of_redis(hub: HubProcess) -> set[int]:
    """The ports that the hub is connected to."""
    assert hub.process is not None
    connections = psutil.Process(hub.process.pid).net_connections("tcp")
    return {each.raddr.port for each in connections if each.raddr and each.laddr.port != hub.port}


def endpoints(node: Node) -> set[str]:
    """The preferred endpoints of all nodes, as one of them tells them."""
    with node.client() as client:
        client.set_response_callback("CLUSTER SLOTS", lambda answer, **options: answer)
        slots = client.execute_command("CLUSTER SLOTS")
    return {each[0].decode() for _, _, *nodes in slots for each in nodes}


def read_to(stream: Stream, text: str) -> list[str]:
    """The messages up to this one. Around a move there may be a gap, and a message that comes twice."""
    found: list[str] = []
    for event in stream.events():
        found += [event.data] if event.event == "message" else []
        if found[-1:] == [text]:
            return found
    raise AssertionError(f"only {found}")


def publish_until_heard(node: Node, text: str) -> None:
    """Publishes until a hub listens there: what nobody hears is lost, as everywhere in Redis."""
    wait_until(lambda: node.publish(text), "the hub listens to the new master")


def test_the_announced_addresses_are_used_also_after_a_failover(
    start_hub: StartHub, cluster: RedisCluster
) -> None:
    hub = start_hub(redis_url=cluster.url)
    announced = {node.known_port for node in cluster.nodes}
    assert not announced & {node.port for node in cluster.nodes}
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        cluster.owner().publish("before")
        first = stream.event()
        assert first.data == "before"
        new = cluster.fail_over(cluster.owner())
        hub.wait_for_log(f"127.0.0.1:{new.known_port}: is the master now")
        publish_until_heard(new, "after")
        read_to(stream, "after")
        done = relay_command("publish", "demo_stream", "from a command", REDIS_URL=cluster.url)
        assert done.returncode == 0, done.stderr
        read_to(stream, "from a command")
        assert ports_of_redis(hub) <= announced
    with Stream(hub.url, headers={"Last-Event-ID": first.id}) as stream:
        assert set(read_to(stream, "from a command")) == {"after", "from a command"}


def test_a_killed_master_is_left_for_the_announced_replica(
    start_hub: StartHub, cluster: RedisCluster
) -> None:
    hub = start_hub(redis_url=cluster.url)
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        owner = cluster.owner()
        replica = cluster.replica_of(owner)
        owner.kill()
        cluster.wait_for_master(replica)
        hub.wait_for_log(f"Redis 127.0.0.1:{replica.known_port}: ")
        hub.wait_for_redis("live", 10.0)
        publish_until_heard(replica, "after")
        read_to(stream, "after")
        assert ports_of_redis(hub) <= {node.known_port for node in cluster.nodes}


def test_names_of_hosts_are_used_where_they_are_preferred(start_hub: StartHub) -> None:
    with closing(RedisCluster()) as cluster:
        for node in cluster.nodes:
            with node.client() as client:
                client.config_set("cluster-announce-hostname", "localhost")
                client.config_set("cluster-preferred-endpoint-type", "hostname")
        owner = cluster.owner()
        wait_until(lambda: endpoints(owner) == {"localhost"}, "the nodes know the names")
        hub = start_hub(redis_url=cluster.url)
        with Stream(hub.url) as stream:
            hub.wait_for_streams(1)
            owner.publish("before")
            read_to(stream, "before")
            new = cluster.fail_over(owner)
            hub.wait_for_log(f"localhost:{new.port}: is the master now")
            publish_until_heard(new, "after")
            read_to(stream, "after")
