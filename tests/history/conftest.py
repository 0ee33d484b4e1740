"""Fixtures of these tests."""

from tests.support.redis_versions import client, refuse, server  # noqa: F401
