"""Where Redis is, and how it is reached."""

import asyncio
import ssl
from collections.abc import Callable
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
from relay.broker.pool import open_pool, open_sync_pool
from relay.broker.probe import Probe
from relay.broker.subscription import Names, Receive, Subscription

Protocol = TypeVar("Protocol", bound=asyncio.BaseProtocol)


class UnusableOption(ValueError):
    """An option of the URL that redis-py accepts and the hub cannot work with."""


class RedisAddress:
    """Where and how to reach Redis, from a URL as redis-py reads it (redis://, rediss://, unix://).

    Raises ValueError for a URL that redis-py does not accept, UnusableOption for one that the hub
    cannot work with. `name` holds no password and may be logged.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        connection = _connection(url)
        self._auth = _auth(connection.username, connection.password)
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

    def sync_client(self, name: str = "relay-publish") -> "redis.Redis":
        """The same for code without an event loop.

        redis-py gives a forked child connections of its own.
        """
        return redis.Redis.from_pool(open_sync_pool(self._url, name))

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

    async def connect(self, names: Names, receive: Receive) -> Subscription:
        """A connection that is subscribed to `names`.

        Raises OSError when Redis cannot be reached, SubscriptionRefused when it says no.
        """
        subscription = await self._open(partial(Subscription, self._auth, receive))
        try:
            await subscription.subscribe(names)
        except BaseException:
            subscription.abort("the attempt was given up")
            raise
        return subscription

    async def _open(self, factory: Callable[[], Protocol]) -> Protocol:
        loop = asyncio.get_running_loop()
        if self._path is not None:
            return (await loop.create_unix_connection(factory, self._path))[1]
        return (await loop.create_connection(factory, self._host, self._port, ssl=self._ssl))[1]


def _connection(url: str) -> AbstractConnection:
    """A connection that is not opened. Raises ValueError for a URL that cannot be used."""
    try:
        pool = ConnectionPool.from_url(url)
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
