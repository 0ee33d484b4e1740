"""Where one server of Redis is, and how it is reached."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import redis
from redis.asyncio import Redis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.exceptions import RedisError

from relay.broker.gate import Gate
from relay.broker.pool import COMMAND_SECONDS, NO_LIBRARY_NAME, open_pool, open_sync_pool
from relay.broker.probe import Probe
from relay.broker.subscription import Receive, Subscription
from relay.broker.tracking import Observer, Tracking
from relay.broker.urls import ClusterUrl, SentinelUrl, ServerUrl, UnusableOption, parse

Protocol = TypeVar("Protocol", bound=asyncio.BaseProtocol)


class RedisAddress:
    """Where and how to reach one server, from a URL as redis-py reads it (redis://, rediss://, unix://).

    Raises ValueError for a URL that redis-py does not accept, UnusableOption for one that the hub
    cannot work with. `name` holds no password and may be logged.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        connection = _connection(url)
        self._auth = _auth(connection.username, connection.password)
        self._database = int(connection.db or 0)
        self._path: str | None = None
        self._ssl: ssl.SSLContext | None = None
        if isinstance(connection, UnixDomainSocketConnection):
            self._path = self.name = connection.path
            return
        assert isinstance(connection, Connection)
        self._host, self._port = connection.host, int(connection.port)
        self.name = f"{self._host}:{self._port}"
        if isinstance(connection, SSLConnection):
            self._ssl = connection.ssl_context.get()

    def client(self, name: str = "relay-hub-commands", gate: Gate | None = None) -> Redis:
        """A client for commands: two seconds for an answer, and no attempt repeated in silence.

        Nothing is sent twice: a message that Redis may have got is not repeated. The gate decides
        when connections are opened; without one they always are. `name` is what CLIENT LIST shows.
        """
        return Redis.from_pool(open_pool(self._url, name, gate or Gate()))

    def sync_client(
        self, name: str = "relay-publish", seconds: float = COMMAND_SECONDS
    ) -> "redis.Redis":
        """The same for code without an event loop, with `seconds` for an answer.

        redis-py gives a forked child connections of its own.
        """
        return redis.Redis.from_pool(open_sync_pool(self._url, name, seconds))

    async def probe(self, channel: str) -> None:
        """Publishes an empty message by a connection made for it alone.

        Raises OSError, among others RedisUnavailable with `refused` where Redis says no.
        """
        probe = await self._open(partial(Probe, self._auth, channel))
        try:
            await probe.done
        except asyncio.CancelledError:
            probe.abort()
            raise

    async def connect(self, receive: Receive) -> Subscription:
        """Returns a connection that is subscribed to nothing yet.

        Raises OSError when Redis cannot be reached.
        """
        return await self._open(partial(Subscription, self._auth, receive))

    async def track(self, observer: Observer) -> Tracking:
        """Returns a connection that does not track yet. Raises OSError when Redis cannot be reached."""
        return await self._open(partial(Tracking, self._auth, observer, self._database))

    async def _open(self, factory: Callable[[], Protocol]) -> Protocol:
        loop = asyncio.get_running_loop()
        if self._path is not None:
            return (await loop.create_unix_connection(factory, self._path))[1]
        return (await loop.create_connection(factory, self._host, self._port, ssl=self._ssl))[1]


def name_of(url: str) -> str:
    """Returns the name of the server or the deployment, for messages; it holds no password."""
    parsed = parse(url)
    return RedisAddress(url).name if isinstance(parsed, ServerUrl) else parsed.name


def addresses_of(url: str) -> Sequence[RedisAddress]:
    """Returns the address of every server that REDIS_URL names. Raises ValueError like RedisAddress."""
    match parse(url):
        case SentinelUrl() as sentinels:
            RedisAddress(sentinels.masters.of("master", 1))
            return [RedisAddress(sentinels.sentinels.of(*host)) for host in sentinels.hosts]
        case ClusterUrl() as cluster:
            return [RedisAddress(cluster.nodes.of(*host)) for host in cluster.hosts]
    return [RedisAddress(url)]


def _connection(url: str) -> AbstractConnection:
    """A connection that is not opened. Raises ValueError for a URL that cannot be used."""
    try:
        pool = ConnectionPool.from_url(url, **NO_LIBRARY_NAME)
        connection = pool.connection_class(**pool.connection_kwargs)
        if isinstance(connection, SSLConnection):
            connection.ssl_context.get()
    except (RedisError, TypeError, OSError) as error:
        raise UnusableOption(f"an option of the URL cannot be used: {error}") from None
    if pool.connection_kwargs.get("decode_responses"):
        raise UnusableOption("decode_responses cannot be used, because the hub reads bytes")
    return connection


def _auth(username: str | None, password: str | None) -> tuple[str, ...]:
    """The command AUTH, if any. A user of Redis with `nopass` takes every password, an empty one too."""
    if username:
        return ("AUTH", username, password or "")
    return ("AUTH", password) if password else ()
