"""Redis for code without an event loop: management commands, `relay.publish`, `relay.kick`."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException

from relay.broker.address import RedisAddress
from relay.broker.cluster import read_slots
from relay.broker.commands import script_text, unavailable
from relay.broker.elected import FRESH_SECONDS
from relay.broker.pool import cluster_options
from relay.broker.sentinels import ANSWER_SECONDS, NamedMaster
from relay.broker.urls import ClusterUrl, SentinelUrl, parse

UNREADABLE = (LookupError, ValueError, TypeError)
"""What an answer raises that is not as the protocol says."""

Client = Any
"""redis.Redis, or redis.RedisCluster, which has the same methods."""


class SyncRedis(Protocol):
    """One deployment of Redis. Its methods raise errors of redis-py, and OSError."""

    name: str
    """For messages; holds no password."""
    deployment: str
    """`server`, `sentinel` or `cluster`."""

    def client(self) -> Client:
        """Returns a client that reaches the masters as they are now. `close` closes it."""

    def masters(self) -> Sequence[RedisAddress]:
        """Returns the address of each master."""

    def close(self) -> None: ...


class SyncServer:
    """A server that stands alone. redis-py gives a forked child connections of its own."""

    deployment = "server"

    def __init__(self, url: str, client_name: str) -> None:
        self._address = RedisAddress(url)
        self.name = self._address.name
        self._client = self._address.sync_client(client_name)

    def client(self) -> Client:
        return self._client

    def masters(self) -> Sequence[RedisAddress]:
        return [self._address]

    def close(self) -> None:
        self._client.close()


class SyncSentinels:
    """Asks all sentinels at most each FRESH_SECONDS, for an old master may go on answering."""

    deployment = "sentinel"

    def __init__(self, url: SentinelUrl, client_name: str) -> None:
        self.name = url.name
        self._url = url
        self._client_name = client_name
        self._current: tuple[tuple[str, int], Client] | None = None
        self._looked_at = 0.0

    def client(self) -> Client:
        if self._current is None:
            return self._look()
        if time.monotonic() - self._looked_at < FRESH_SECONDS:
            return self._current[1]
        self._looked_at = time.monotonic()
        try:
            return self._look()
        except (redis.RedisError, OSError):  # the master may live although no sentinel answers
            return self._current[1]

    def masters(self) -> Sequence[RedisAddress]:
        return [RedisAddress(self._url.masters.of(*self._ask()))]

    def close(self) -> None:
        if self._current is not None:
            self._current[1].close()

    def _look(self) -> Client:
        host = self._ask()
        current = self._current
        if current is None or current[0] != host:
            client = RedisAddress(self._url.masters.of(*host)).sync_client(self._client_name)
            current = self._current = host, client  # other threads may use the one before
        self._looked_at = time.monotonic()
        return current[1]

    def _ask(self) -> tuple[str, int]:
        found: list[NamedMaster] = []
        error: Exception = redis.ConnectionError("no sentinel answers")
        for host in self._url.hosts:
            try:
                found.append(self._ask_one(RedisAddress(self._url.sentinels.of(*host))))
            except (redis.RedisError, OSError) as failed:
                error = failed
            except UNREADABLE as failed:
                error = redis.RedisError(f"the answer of a sentinel cannot be read: {failed!r}")
        if not found:
            raise error
        newest = max(found)
        return newest.host, newest.port

    def _ask_one(self, address: RedisAddress) -> NamedMaster:
        with address.sync_client(self._client_name, ANSWER_SECONDS) as client:
            answer = client.execute_command("SENTINEL", "MASTER", self._url.service)
        return NamedMaster.of(answer)


class SyncCluster:
    """redis-py finds the nodes and follows redirections. It repeats nothing that may have been done."""

    deployment = "cluster"

    def __init__(self, url: ClusterUrl, client_name: str) -> None:
        self.name = url.name
        self._url = url
        self._client_name = client_name
        self._client: RedisCluster | None = None

    def client(self) -> Client:
        if self._client is None:
            nodes = [ClusterNode(*host) for host in self._url.hosts]
            options = cluster_options(self._url.nodes.of(*self._url.hosts[0]))
            self._client = RedisCluster(startup_nodes=nodes, **options)
        return self._client

    def masters(self) -> Sequence[RedisAddress]:
        error: Exception = redis.ConnectionError("no node answers")
        for host in self._url.hosts:
            address = RedisAddress(self._url.nodes.of(*host))
            try:
                with address.sync_client(self._client_name) as client:
                    ranges = read_slots(client.execute_command("CLUSTER", "SLOTS"), host[0])
            except (redis.RedisError, OSError) as failed:
                error = failed
                continue
            owners = sorted({owner[:2] for _, _, owner in ranges})
            return [RedisAddress(self._url.nodes.of(*owner)) for owner in owners]
        raise error

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


def open_sync(url: str, client_name: str = "relay-publish") -> SyncRedis:
    """Raises ValueError for a URL that cannot be used. `client_name` is what CLIENT LIST shows."""
    match parse(url):
        case SentinelUrl() as sentinels:
            return SyncSentinels(sentinels, client_name)
        case ClusterUrl() as cluster:
            return SyncCluster(cluster, client_name)
    return SyncServer(url, client_name)


def run_sync(work: Callable[[], Any], command: str) -> Any:
    """Returns what `work` returns. Raises RedisUnavailable for any error of redis-py."""
    try:
        return work()
    except (redis.RedisError, RedisClusterException, OSError) as error:
        raise unavailable(error, command) from None


def run_script_sync(url: str, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
    """Runs a script on a connection of its own. Raises RedisUnavailable."""

    def work() -> Any:
        server = open_sync(url)
        try:
            return script_sync(server.client(), name, keys, arguments)
        finally:
            server.close()

    return run_sync(work, "EVALSHA")


def script_sync(client: Client, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
    """Runs a script by its digest, or the whole where Redis does not know it. Raises like redis-py."""
    text, digest = script_text(name)
    words = [len(keys), *keys, *arguments]
    try:
        return client.evalsha(digest, *words)
    except redis.exceptions.NoScriptError:
        return client.eval(text, *words)
