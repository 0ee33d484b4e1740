"""Fixtures of these tests."""

from tests.support.deployments import cluster, deployment  # noqa: F401
from tests.support.redis_versions import client, refuse, server  # noqa: F401
