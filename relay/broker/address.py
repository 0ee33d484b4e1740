"""Where Redis is, and how its connections are made."""

import asyncio
import ssl
from typing import Any

import redis
from redis.asyncio import Redis
from redis.asyncio.connection import (
    AbstractConnection,
    BlockingConnectionPool,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry as SyncRetry

from relay.broker.subscription import Names, Receive, Subscription

COMMAND_SECONDS = 2.0
"""How long a command may take."""

COMMAND_OPTIONS: dict[str, Any] = {
    "max_connections": 16,
    "socket_connect_timeout": COMMAND_SECONDS,
    "socket_timeout": COMMAND_SECONDS,
    "protocol": 2,
}
"""What every pool of connections for commands is made with."""

QUEUE_SECONDS = 10.0
"""How long a command waits for one of the connections: thousands of channels may write at once."""


def _connection(url: str) -> AbstractConnection:
    """A connection that is not opened. Raises ValueError for options that the hub cannot work with."""
    pool = ConnectionPool.from_url(url)
    if pool.connection_kwargs.get("decode_responses"):
        raise ValueError("decode_responses makes text of what Redis answers; the hub reads bytes")
    try:
        return pool.connection_class(**pool.connection_kwargs)
    except RedisError as error:
        raise ValueError(str(error)) from None


class RedisAddress:
    """Where and how to reach Redis, from a URL as redis-py reads it (redis://, rediss://, unix://).

    Raises ValueError for a URL that redis-py does not accept. `name` holds no password and may be
    logged.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        connection = _connection(url)
        self._username: str | None = connection.username
        self._password: str | None = connection.password
        if self._username and self._password is None:
            self._password = ""  # as redis-py does, for a user of Redis with `nopass`
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

    def client(self, name: str = "relay-hub-commands") -> Redis:
        """A client for commands: two seconds for an answer, and no attempt repeated in silence.

        Nothing is sent twice: a message that Redis may have got is not repeated. `name` is what
        CLIENT LIST shows.
        """
        pool = BlockingConnectionPool.from_url(
            self._url,
            timeout=QUEUE_SECONDS,
            client_name=name,
            retry=Retry(NoBackoff(), 0),
            **COMMAND_OPTIONS,
        )
        return Redis.from_pool(pool)

    def sync_client(self, name: str = "relay-publish") -> "redis.Redis":
        """The same for code without an event loop.

        redis-py gives a forked child connections of its own. A thread waits no longer for a free
        connection than for an answer.
        """
        pool = redis.BlockingConnectionPool.from_url(
            self._url,
            timeout=COMMAND_SECONDS,
            client_name=name,
            retry=SyncRetry(NoBackoff(), 0),
            **COMMAND_OPTIONS,
        )
        return redis.Redis.from_pool(pool)

    async def publish(self, channel: str, payload: bytes) -> None:
        """PUBLISH by a connection made for it alone. Raises OSError."""
        try:
            async with self.client() as client:
                await client.publish(channel, payload)
        except RedisError as error:
            raise ConnectionError(str(error)) from None

    async def connect(self, names: Names, receive: Receive) -> Subscription:
        """A connection that is subscribed to `names`.

        Raises OSError when Redis cannot be reached, SubscriptionRefused when it says no.
        """
        loop = asyncio.get_running_loop()

        def factory() -> Subscription:
            return Subscription(self._username, self._password, receive)

        if self._path is not None:
            _, subscription = await loop.create_unix_connection(factory, self._path)
        else:
            _, subscription = await loop.create_connection(
                factory, self._host, self._port, ssl=self._ssl
            )
        try:
            await subscription.subscribe(names)
        except BaseException:
            subscription.abort("the attempt was given up")
            raise
        return subscription
