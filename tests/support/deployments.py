"""Fixtures: a Redis Cluster, and a master with sentinels, of the installed servers or of a given program."""

from collections.abc import Iterator

import pytest

from tests.support.cluster import RedisCluster
from tests.support.redis_versions import program
from tests.support.sentinel import SentinelDeployment


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[RedisCluster]:
    cluster = RedisCluster(program(getattr(request, "param", "installed")))
    yield cluster
    cluster.close()


@pytest.fixture
def deployment(request: pytest.FixtureRequest) -> Iterator[SentinelDeployment]:
    deployment = SentinelDeployment(program(getattr(request, "param", "installed")))
    yield deployment
    deployment.close()
