"""Connections for commands, kept in pools of redis-py."""

import inspect
from contextlib import suppress
from functools import partial
from typing import Any

import redis
from redis.asyncio.connection import AbstractConnection, BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import ResponseError
from redis.retry import Retry as SyncRetry

from relay.broker.gate import Gate

COMMAND_SECONDS = 2.0
"""How long a command may take."""

QUEUE_SECONDS = 10.0
"""How long a command waits for one of the connections: thousands of channels may write at once."""

NO_LIBRARY_NAME: dict[str, Any] = (
    {"driver_info": None}
    if "driver_info" in inspect.signature(AbstractConnection.__init__).parameters
    else {"lib_name": None, "lib_version": None}
)
"""No CLIENT SETINFO: the documented rights deny it, and Redis would count each denial."""

COMMAND_OPTIONS: dict[str, Any] = {
    **NO_LIBRARY_NAME,
    "max_connections": 16,
    "socket_connect_timeout": COMMAND_SECONDS,
    "socket_timeout": COMMAND_SECONDS,
    "protocol": 2,
}
"""What every pool is made with."""


def open_pool(url: str, name: str, gate: Gate) -> BlockingConnectionPool:
    """Returns a pool for an event loop, whose connections CLIENT LIST shows as `name`."""
    return _Pool.from_url(
        url,
        gate=gate,
        timeout=QUEUE_SECONDS,
        redis_connect_func=partial(_introduce, name),
        retry=Retry(NoBackoff(), 0),
        **COMMAND_OPTIONS,
    )


def open_sync_pool(
    url: str, name: str, seconds: float = COMMAND_SECONDS
) -> redis.BlockingConnectionPool:
    """Returns the same for threads. A thread waits no longer for a connection than for an answer."""
    times = {"socket_connect_timeout": seconds, "socket_timeout": seconds, "timeout": seconds}
    return redis.BlockingConnectionPool.from_url(
        url,
        redis_connect_func=partial(_introduce_sync, name),
        retry=SyncRetry(NoBackoff(), 0),
        **(COMMAND_OPTIONS | times),
    )


_OF_NODES = frozenset({"host", "port", "db"})
"""What the URL of a node says of itself, and not of the cluster, whose only database is 0."""


def cluster_options(url: str) -> dict[str, Any]:
    """Returns what redis-py needs for a cluster, from the URL of one of its nodes."""
    own = {key: value for key, value in COMMAND_OPTIONS.items() if key != "max_connections"}
    given = {key: value for key, value in parse_url(url).items() if key not in _OF_NODES}
    connection = given.pop("connection_class", None)
    tls = {"ssl": True} if connection is not None else {}
    return {**given, **tls, **own, "retry": SyncRetry(NoBackoff(), 0)}


class _Pool(BlockingConnectionPool):
    """Replaces a connection that ended while it was idle, so that no command is sent into it.

    Opens a new one only while the gate lets it.
    """

    def __init__(self, *, gate: Gate, **options: Any) -> None:
        super().__init__(**options)
        self._gate = gate

    async def ensure_connection(self, connection: Any) -> None:
        if _ended(connection):
            await connection.disconnect(nowait=True)
        if connection.is_connected:
            await super().ensure_connection(connection)
            return
        self._gate.enter()
        await super().ensure_connection(connection)
        self._gate.passed()


def _ended(connection: Any) -> bool:
    """Whether the peer has closed or reset the connection, as far as the event loop knows."""
    writer = getattr(connection, "_writer", None)
    reader = getattr(connection, "_reader", None)
    if writer is None or reader is None:
        return False
    return bool(writer.transport.is_closing() or reader.at_eof() or reader.exception())


async def _introduce(name: str, connection: Any) -> None:
    """Signs in, and sets the name where Redis lets it: the name is for CLIENT LIST alone."""
    await connection.on_connect()
    await connection.send_command("CLIENT", "SETNAME", name, check_health=False)
    with suppress(ResponseError):
        await connection.read_response()


def _introduce_sync(name: str, connection: Any) -> None:
    connection.on_connect()
    connection.send_command("CLIENT", "SETNAME", name, check_health=False)
    with suppress(ResponseError):
        connection.read_response()
