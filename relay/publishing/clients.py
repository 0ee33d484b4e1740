"""The clients that publish, one for each process or event loop."""

import asyncio
from collections.abc import AsyncGenerator
from functools import cache

import redis
from redis.asyncio import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from relay import conf
from relay.broker.address import COMMAND_OPTIONS, COMMAND_SECONDS, RedisAddress


@cache
def _client(url: str) -> "redis.Redis":
    """One pool for the process; redis-py gives a forked child connections of its own.

    Nothing is sent twice: a message that Redis may have got is not repeated.
    """
    pool = redis.BlockingConnectionPool.from_url(
        url,
        timeout=COMMAND_SECONDS,
        client_name="relay-publish",
        retry=Retry(NoBackoff(), 0),
        **COMMAND_OPTIONS,
    )
    return redis.Redis.from_pool(pool)


_Place = tuple[asyncio.AbstractEventLoop, str]


_connected: dict[_Place, tuple[Redis, AsyncGenerator[Redis, None]]] = {}


async def aclient() -> Redis:
    """The client of the running event loop, closed when the loop is shut down."""
    place = (asyncio.get_running_loop(), conf.load().redis_url)
    if place not in _connected:
        lifetime = _lifetime(place)
        _connected[place] = await anext(lifetime), lifetime  # comes at once: no other gets between
    return _connected[place][0]


async def _lifetime(place: _Place) -> AsyncGenerator[Redis, None]:
    """A generator because asyncio ends those when it ends a loop (`loop.shutdown_asyncgens`)."""
    client = RedisAddress(place[1]).client()
    try:
        yield client
    finally:
        del _connected[place]
        await client.aclose()
