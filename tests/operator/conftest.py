"""Fixtures of these tests."""

from tests.support.deployments import cluster, deployment  # noqa: F401
