"""Connections to servers that sentinels and clusters do not name any more are closed."""

from contextlib import aclosing

import pytest

from relay.broker import aging
from relay.broker.cluster import Cluster
from relay.broker.elected import ElectedMasters
from relay.broker.sentinels import Sentinels
from relay.broker.urls import ClusterUrl, SentinelUrl, parse
from tests.support.cluster import RedisCluster
from tests.support.sentinel import SentinelDeployment
from tests.support.servers import free_port


async def check(topology: ElectedMasters, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`port` is one that is named."""
    named, stray = ("127.0.0.1", port), ("127.0.0.1", free_port())
    async with aclosing(topology):
        await topology.look()
        kept, closed = topology.commands_at(*named), topology.commands_at(*stray)
        master = topology.master("demo_stream")
        await topology.look()
        assert topology.commands_at(*stray) is closed
        monkeypatch.setattr(aging, "FORGET_SECONDS", 0.0)
        await topology.look()
        assert topology.commands_at(*stray) is not closed
        assert topology.commands_at(*named) is kept
        assert topology.master("demo_stream") is master


async def test_in_a_cluster(cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    url = parse(cluster.url)
    assert isinstance(url, ClusterUrl)
    await check(Cluster(url), cluster.nodes[0].port, monkeypatch)


async def test_with_sentinels(
    deployment: SentinelDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = parse(deployment.url)
    assert isinstance(url, SentinelUrl)
    await check(Sentinels(url), deployment.master.port, monkeypatch)
