"""Fixtures of these tests."""

from tests.support.two_redis import client, refuse, server  # noqa: F401
