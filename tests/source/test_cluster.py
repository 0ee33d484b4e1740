"""A Redis Cluster: each channel at its master, also when that moves; ids never name two messages."""

import json
import re
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.crc import key_slot
from redis.retry import Retry

from relay.publishing import apublish, publish
from relay.publishing.once import Outgoing, once_key
from relay.publishing.outlet import outlet
from tests.support.client import Stream, ask
from tests.support.cluster import Node, RedisCluster
from tests.support.command import relay_command
from tests.support.follower import Follower
from tests.support.redis_versions import PROGRAMS
from tests.support.servers import ROOT, HubProcess, StartHub
from tests.support.voices import Listeners, Voice
from tests.support.waiting import wait_until, within

CHANNEL = "demo_stream"
LOG = "relay:{demo_stream}:log"


def on(*programs: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("cluster", programs, indirect=True)


def moved(hub: HubProcess, new: Node) -> bool:
    return f"127.0.0.1:{new.port}: is the master now" in hub.log()


def spoken_to(followers: list[Follower], number: int) -> bool:
    return all(len(follower.events) > number for follower in followers)


class Scene:
    """Two hubs, a follower of each, and voices at several nodes."""

    def __init__(self, start_hub: StartHub, cluster: RedisCluster, **settings: str) -> None:
        self.cluster = cluster
        self.hubs = [start_hub(redis_url=cluster.url, **settings) for _ in range(2)]
        self.followers = [Follower([hub.url]) for hub in self.hubs]
        self._command = "SPUBLISH" if settings else "PUBLISH"
        self.voices: list[Voice] = []

    def __enter__(self) -> "Scene":
        for follower, hub in zip(self.followers, self.hubs, strict=True):
            follower.start()
            hub.wait_for_streams(1)
        return self

    def __exit__(self, *exception: object) -> None:
        for voice in self.voices:
            voice.__exit__(None)

    def speak(self, name: str, connect: Callable[[], Any], rate: float = 150) -> None:
        voice = Voice(name, connect, rate, CHANNEL, self._command)
        self.voices.append(voice)
        voice.start()

    def speak_beside(self, owner: Node) -> None:
        """Publishes through three nodes other than the owner."""
        for number, node in enumerate(self.cluster.others(owner)[:3]):
            self.speak(f"v{number}", node.client)
        self.goes_on()

    def goes_on(self, number: int = 60) -> None:
        """Waits until every follower has received so many more."""
        at = max(len(follower.events) for follower in self.followers)
        wait_until(lambda: spoken_to(self.followers, at + number), "messages arrive", 20)

    def gaps(self, lossy: str = "") -> list[int]:
        """Ends everything, checks all that was received, and returns the gaps of each follower.

        The bus of the cluster may lose what the voice `lossy` says, and nobody can tell.
        """
        self.__exit__()
        unsure = {voice.name: voice.unsure for voice in self.voices}
        listeners = Listeners(lambda name, number: name == lossy or number in unsure[name])
        time.sleep(0.3)
        for follower in self.followers:
            follower.stop()
        return [listeners.check(follower.events) for follower in self.followers]


def slots_client(cluster: RedisCluster) -> Any:
    """Publishes at the owner, and repeats nothing.

    It waits for a node that is stopped: one that wakes would execute later what was given up before.
    """
    nodes = [ClusterNode("127.0.0.1", node.port) for node in cluster.nodes]
    retry = Retry(NoBackoff(), 0)
    return redis.RedisCluster(startup_nodes=nodes, socket_timeout=20, retry=retry)


@on(*PROGRAMS)
def test_all_hubs_agree_on_every_id_whichever_nodes_are_published_through(
    start_hub: StartHub, cluster: RedisCluster
) -> None:
    with Scene(start_hub, cluster) as scene:
        for number, node in enumerate(cluster.nodes):
            scene.speak(f"v{number}", node.client)
        scene.goes_on(300)
        assert scene.gaps() == [0, 0]


@on("installed", "valkey-9")
def test_sharded_channels_too(start_hub: StartHub, cluster: RedisCluster) -> None:
    with Scene(start_hub, cluster, RELAY_PUBSUB="sharded") as scene:
        for number in range(3):
            scene.speak(f"v{number}", partial(slots_client, cluster))
        scene.goes_on(200)
        assert scene.gaps() == [0, 0]


@pytest.mark.parametrize(
    ("cluster", "pubsub"),
    [
        ("redis-6.2", "classic"),
        ("installed", "classic"),
        ("installed", "sharded"),
        ("valkey-9", "classic"),
        ("valkey-9", "sharded"),
    ],
    indirect=["cluster"],
)
def test_a_planned_failover_under_load(
    start_hub: StartHub, cluster: RedisCluster, pubsub: str
) -> None:
    settings = {"RELAY_PUBSUB": pubsub} if pubsub == "sharded" else {}
    with Scene(start_hub, cluster, **settings) as scene:
        owner = cluster.owner()
        for number, node in enumerate(cluster.others(owner)[:3] if not settings else [None] * 2):
            scene.speak(f"v{number}", node.client if node else partial(slots_client, cluster))
        scene.goes_on()
        new = cluster.fail_over(owner)
        wait_until(lambda: all(moved(hub, new) for hub in scene.hubs), "both have moved")
        scene.goes_on()
        assert scene.gaps() == [1, 1]
    assert not any("ERROR" in hub.log() for hub in scene.hubs)


def test_a_master_that_dies(start_hub: StartHub, cluster: RedisCluster) -> None:
    with Scene(start_hub, cluster) as scene:
        owner = cluster.owner()
        replica = cluster.replica_of(owner)
        scene.speak_beside(owner)
        owner.kill()
        wait_until(lambda: replica.role() == b"master", "the replica takes over", 20)
        with within(3):  # promised: 0.5 s
            wait_until(lambda: all(moved(hub, replica) for hub in scene.hubs), "both have moved")
        scene.goes_on()
        assert scene.gaps() == [1, 1]
    for hub in scene.hubs:
        hub.wait_for_redis("live")


def test_a_master_that_was_stopped_and_wakes_changes_nothing(
    start_hub: StartHub, cluster: RedisCluster
) -> None:
    with Scene(start_hub, cluster) as scene:
        owner = cluster.owner()
        replica = cluster.replica_of(owner)
        scene.speak_beside(owner)
        owner.signal(signal.SIGSTOP)
        wait_until(lambda: replica.role() == b"master", "the replica takes over", 20)
        wait_until(lambda: all(moved(hub, replica) for hub in scene.hubs), "both have moved", 20)
        scene.goes_on()
        owner.signal(signal.SIGCONT)
        scene.speak("woken", owner.client)
        scene.goes_on(200)
        assert scene.gaps(lossy="woken") == [1, 1]


@pytest.mark.parametrize("pubsub", ["classic", "sharded"])
def test_a_slot_that_moves_takes_its_log_along(
    start_hub: StartHub, cluster: RedisCluster, pubsub: str
) -> None:
    settings = {"RELAY_PUBSUB": pubsub} if pubsub == "sharded" else {}
    with Scene(start_hub, cluster, **settings) as scene:
        owner = cluster.owner()
        target = next(node for node in cluster.nodes[:3] if node is not owner)
        scene.speak("a", partial(slots_client, cluster))
        scene.goes_on()
        cluster.move_slot(key_slot(CHANNEL.encode()), owner, target)
        wait_until(lambda: all(moved(hub, target) for hub in scene.hubs), "both have moved")
        scene.goes_on()
        assert scene.gaps() == [1, 1]
        first = scene.followers[0].events[0]
        newest = scene.followers[0].events[-1]
    with target.client() as client:
        entries = [i.decode() for i, _ in client.xrange(LOG)]
        wait_until(
            lambda: client.xrevrange(LOG, count=1)[0][0].decode() >= newest.id, "all is kept"
        )
    assert first.id in entries
    with Stream(scene.hubs[0].url, last_id=first.id) as stream:
        told = [stream.event() for _ in range(40)]
    assert [event.id for event in told] == [e.id for e in scene.followers[0].events[1:41]]


def test_channels_are_listened_to_at_the_masters_of_their_slots_with_one_connection_each(
    start_hub: StartHub, cluster: RedisCluster
) -> None:
    names = [f"c{n}" for n in range(30)]
    hub = start_hub(redis_url=cluster.url, RELAY_CHANNELS=" ".join(names))
    query = "&".join(f"channel={name}" for name in names)
    with Stream(hub.url, f"/stream/?{query}") as stream:
        hub.wait_for_streams(1)
        masters = [node for node in cluster.nodes if node.role() == b"master"]

        def subscribed() -> int:
            total = 0
            for node in masters:
                with node.client() as client:
                    total += len(client.execute_command("PUBSUB CHANNELS", "c*"))
            return total

        wait_until(lambda: subscribed() == 30, "all are subscribed to, each once")
        for node in masters:
            with node.client() as client:
                lines = client.execute_command("CLIENT LIST", "TYPE", "pubsub")
            text = lines if isinstance(lines, str) else str(lines)
            assert text.count("relay-hub") == 1
        for name in names:
            cluster.nodes[3].publish(name, name)
        got = {e.data for e in (stream.event() for _ in range(30)) if e.event == "message"}
        assert got == set(names)


def test_a_wildcard_is_heard_from_every_node(start_hub: StartHub, cluster: RedisCluster) -> None:
    settings = "tests.support.channel_settings"
    hub = start_hub(redis_url=cluster.url, DJANGO_SETTINGS_MODULE=settings)
    with Stream(hub.url, "/stream/?channel=orders.*") as stream:
        while not stream.line().startswith(b"id:"):
            pass
        for number, node in enumerate(cluster.nodes):
            node.publish(str(number), f"orders.{number}")
        events = (event for event in stream.events() if event.event == "message")
        assert sorted(next(events).data for _ in range(6)) == [str(n) for n in range(6)]


def test_a_slot_that_no_node_owns_is_reported_until_one_does(
    start_hub: StartHub, cluster: RedisCluster
) -> None:
    owner, slot = cluster.owner(), key_slot(CHANNEL.encode())

    def at_each_master(*words: str | int) -> None:
        for node in cluster.nodes[:3]:
            with node.client() as client:
                client.execute_command(*words)

    at_each_master("CONFIG SET", "cluster-require-full-coverage", "no")
    hub = start_hub(redis_url=cluster.url)
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        owner.publish("before")
        assert stream.event().data == "before"
        at_each_master("CLUSTER DELSLOTS", slot)
        hub.wait_for_log(f"no master has the slots of 1 channels (such as {CHANNEL})")
        with owner.client() as client:
            client.execute_command("CLUSTER ADDSLOTS", slot)
        hub.wait_for_log("each channel has a master again")
        with Voice("after", owner.client, 50, CHANNEL):
            assert any(event.data.startswith("after") for event in stream.events())


def test_the_commands_work_on_a_cluster(start_hub: StartHub, cluster: RedisCluster) -> None:
    hub = start_hub(redis_url=cluster.url)
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        checked = relay_command("check", REDIS_URL=cluster.url)
        assert checked.returncode == 0, checked.stderr
        assert checked.stdout.count("master") == 3
        status = relay_command("status", REDIS_URL=cluster.url)
        assert status.returncode == 0, status.stderr
        assert "cluster" in status.stdout
        published = relay_command("publish", CHANNEL, "by the command", REDIS_URL=cluster.url)
        assert published.returncode == 0, published.stderr
        assert "1 subscriber" in published.stdout
        assert stream.event().data == "by the command"
        kicked = relay_command("kick", "--all", REDIS_URL=cluster.url)
        assert kicked.returncode == 0, kicked.stderr
        with within(2):
            assert [e for e in stream.events() if e.event == "message"] == []


def test_pages_of_the_past_and_open_channels_are_read_at_the_masters_that_have_them(
    start_hub: StartHub, cluster: RedisCluster
) -> None:
    hub = start_hub(redis_url=cluster.url, RELAY_CHANNELS="room.*")
    names = [f"room.{n}" for n in range(6)]  # on all masters

    def page(name: str) -> set[str]:
        answer = json.loads(ask(hub.url, f"/history/{name}/").body)
        return {message.get("data", "a gap") for message in answer["messages"]}

    def kept() -> bool:
        with cluster.nodes[0].client() as client:
            for name in names:
                client.publish(name, name)
        return all(page(name) == {name} for name in names)

    def listed() -> list[tuple[str, int]]:
        answer = json.loads(ask(hub.url, "/channels/?q=room").body)
        return [(channel["name"], channel["streams"]) for channel in answer["channels"]]

    query = "&".join(f"channel={name}" for name in names)
    with Stream(hub.url, f"/stream/?{query}"):
        wait_until(kept, "every channel has its messages", 10)
        wait_until(lambda: listed() == [(name, 1) for name in names], "all are listed")


def test_a_plain_url_that_leads_to_a_cluster_is_told_so(cluster: RedisCluster) -> None:
    url = f"redis://127.0.0.1:{cluster.nodes[0].port}/0"
    done = relay_command("serve", "--port", "1", REDIS_URL=url)
    assert done.returncode == 1
    assert "is a node of a cluster: use redis+cluster:// in REDIS_URL" in done.stderr


def user_of_the_documentation(cluster: RedisCluster, *changes: str) -> str:
    """The URL of a user with the rights in docs/operations.md, on every node."""
    text = (ROOT / "docs/operations.md").read_text()
    [line] = re.findall(r"^    ACL SETUSER (.*)$", text, re.M)
    [more] = re.findall(r"In a cluster add `([^`]+)`", text)
    for node in cluster.nodes:
        with node.client() as client:
            client.execute_command("ACL", "SETUSER", *line.split(), *more.split(), *changes)
    return cluster.url.replace("://", "://hub:password@")


def test_the_rights_of_the_documentation_are_enough(
    start_hub: StartHub, cluster: RedisCluster
) -> None:
    url = user_of_the_documentation(cluster)
    hub = start_hub(redis_url=url)
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        owner = cluster.owner()
        owner.publish("before")
        assert stream.event().data == "before"
        new = cluster.fail_over(owner)
        wait_until(lambda: moved(hub, new), "it has moved")
        assert stream.event().event == "hub.gap"
        new.publish("after")
        assert stream.event().data == "after"
    for node in cluster.nodes:
        with node.client() as client:
            assert client.acl_log() == []


@pytest.mark.parametrize("right", ["+cluster|slots", "+cluster|myid"])
def test_each_right_that_is_missing_is_named(cluster: RedisCluster, right: str) -> None:
    url = user_of_the_documentation(cluster, right.replace("+", "-"))
    done = relay_command("check", REDIS_URL=url)
    assert done.returncode == 1
    assert right.removeprefix("+") in done.stderr.lower().replace(" ", "|")


async def test_publishing_reaches_the_owner_and_a_key_publishes_once(
    cluster: RedisCluster, settings: Any
) -> None:
    settings.REDIS_URL = cluster.url
    with cluster.owner().client() as client, client.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(CHANNEL)
        heard.get_message(timeout=2)
        key = once_key("relay", "somebody", CHANNEL, "k")
        for again in (False, True):
            outgoing = Outgoing(CHANNEL, (b"one", b"two"), key)
            published = await outlet().asend(outgoing)
            assert (published.number, published.subscribers, published.again) == (2, 1, again)
        assert await apublish(CHANNEL, "three") == 1
        assert await sync_to_async(publish)(CHANNEL, "four") == 1
        got = [heard.get_message(timeout=2) for _ in range(4)]
        assert [m["data"] for m in got if m] == [b"one", b"two", b"three", b"four"]
        assert heard.get_message(timeout=0.2) is None


@pytest.mark.long
def test_under_many_changes_no_id_names_two_messages_and_each_hole_is_told(
    start_hub: StartHub, cluster: RedisCluster
) -> None:
    """Publishers use the owner: what goes through another node may be lost between the nodes."""
    with Scene(start_hub, cluster) as scene:
        for number in range(3):
            scene.speak(f"v{number}", partial(slots_client, cluster))
        scene.goes_on()
        for change in (fail_over, kill, stop_and_wake, move_away, fail_over):
            change(cluster)
            wait_until(lambda: all_at(scene, cluster), "all hubs listen at the owner", 30)
            scene.goes_on()
        gaps = scene.gaps()
    assert all(0 < number <= 8 for number in gaps)


def all_at(scene: Scene, cluster: RedisCluster) -> bool:
    """Whether each hub is subscribed at the owner, and nowhere else."""
    owner = cluster.owner()
    for node in cluster.nodes:
        if node.process is None or not node.role():
            continue
        with node.client() as client:
            [(_, number)] = client.pubsub_numsub(CHANNEL)
        if number != (len(scene.hubs) if node is owner else 0):
            return False
    return all(hub.health()["redis"] == "live" for hub in scene.hubs)


def fail_over(cluster: RedisCluster) -> None:
    cluster.fail_over(cluster.owner())


def kill(cluster: RedisCluster) -> None:
    """The owner dies, and comes back as a replica."""
    owner = cluster.owner()
    replica = cluster.replica_of(owner)
    owner.kill()
    cluster.wait_for_master(replica)
    owner.start()
    wait_until(lambda: owner.role() == b"slave", "it comes back as a replica", 20)


def stop_and_wake(cluster: RedisCluster) -> None:
    owner = cluster.owner()
    replica = cluster.replica_of(owner)
    owner.signal(signal.SIGSTOP)
    wait_until(lambda: replica.role() == b"master", "the replica takes over", 20)
    owner.signal(signal.SIGCONT)
    wait_until(lambda: owner.role() == b"slave", "it has noticed", 20)
    cluster.wait_for_master(replica)


def move_away(cluster: RedisCluster) -> None:
    owner = cluster.owner()
    masters = [node for node in cluster.nodes if node.role() == b"master"]
    target = next(node for node in masters if node is not owner)
    cluster.move_slot(key_slot(CHANNEL.encode()), owner, target)


def test_a_channel_whose_new_master_refuses_does_not_stop_the_others(
    start_hub: StartHub, cluster: RedisCluster
) -> None:
    """demo_stream moves to a node that denies the hub; another channel stays at the old node."""
    owner = cluster.owner()
    target = next(node for node in cluster.nodes[:3] if node is not owner)
    other = next(f"c{n}" for n in range(1000) if cluster.owner(f"c{n}") is owner)
    url = user_of_the_documentation(cluster, f"&{other}")
    hub = start_hub(redis_url=url, RELAY_CHANNELS=other)
    with Stream(hub.url, f"/stream/?channel={other}") as stream:
        while not stream.line().startswith(b"id:"):
            pass
        with target.client() as client:
            client.execute_command("ACL", "SETUSER", "hub", "off")
        cluster.move_slot(key_slot(CHANNEL.encode()), owner, target)
        hub.wait_for_log("refused AUTH")
        with owner.client() as client:
            client.client_kill_filter(_type="pubsub")
        messages = (event for event in stream.events() if event.event == "message")
        with Voice("goes on", owner.client, 20, other):
            assert next(messages).data.startswith("goes on ")
