"""Sentinels and clusters over TLS, also to servers that the hub learns of."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cluster import RedisCluster
from tests.support.follower import Follower
from tests.support.sentinel import SentinelDeployment
from tests.support.servers import HubProcess, RedisProcess, StartHub
from tests.support.tls import Tls
from tests.support.voices import Listeners, Voice
from tests.support.waiting import wait_until


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls.make(tmp_path)


def follow(hub: HubProcess, server: RedisProcess, fail_over: Callable[[], RedisProcess]) -> int:
    """Follows a channel while its master is replaced, and nobody publishes. Returns the number of gaps.

    There is none where the process sees the new master before it could have missed anything.
    """
    follower = Follower([hub.url])

    def arrived(data: str) -> bool:
        return any(event.data == data for event in follower.events)

    follower.start()
    hub.wait_for_streams(1)
    before = Voice("before", server.client, 100)
    with before:
        wait_until(lambda: arrived("before 30"), "messages arrive")
    new = fail_over()
    hub.wait_for_log(f"127.0.0.1:{new.known_port}: is the master now")
    after = Voice("after", new.client, 100)
    with after:
        wait_until(lambda: arrived("after 30"), "messages arrive from the new one")
    follower.stop()
    unsure = {"before": before.unsure, "after": after.unsure}
    return Listeners(lambda name, number: number in unsure[name]).check(follower.events)


def test_a_cluster(start_hub: StartHub, tls: Tls) -> None:
    cluster = RedisCluster(tls=tls)
    try:
        hub = start_hub(redis_url=cluster.url)
        owner = cluster.owner()
        assert follow(hub, owner, lambda: cluster.fail_over(owner)) <= 1
    finally:
        cluster.close()


def test_sentinels(start_hub: StartHub, tls: Tls) -> None:
    deployment = SentinelDeployment(tls=tls)
    try:
        hub = start_hub(redis_url=deployment.url)
        old = deployment.master

        def fail_over() -> RedisProcess:
            deployment.fail_over()
            return deployment.wait_for_another(old)

        assert follow(hub, old, fail_over) <= 1
    finally:
        deployment.close()
