"""The connections that publish: one pool for each process, one for each event loop."""

import asyncio
from collections.abc import AsyncGenerator
from functools import cache

import redis

from relay import conf
from relay.broker.address import RedisAddress
from relay.broker.commands import Commands


@cache
def client(url: str) -> "redis.Redis":
    """Returns the client of this process, for code without an event loop."""
    return RedisAddress(url).sync_client()


_Key = tuple[asyncio.AbstractEventLoop, str]

_open: dict[_Key, tuple[Commands, AsyncGenerator[Commands, None]]] = {}


async def commands() -> Commands:
    """Returns the commands of the running event loop. They are closed when the loop shuts down."""
    key = (asyncio.get_running_loop(), conf.load().redis_url)
    if key not in _open:
        lifetime = _lifetime(key)
        _open[key] = await anext(lifetime), lifetime  # never suspends, so no other task intervenes
    return _open[key][0]


async def _lifetime(key: _Key) -> AsyncGenerator[Commands, None]:
    """A generator, because asyncio closes those when it ends a loop (`loop.shutdown_asyncgens`)."""
    commands = Commands(RedisAddress(key[1]).client)
    try:
        yield commands
    finally:
        del _open[key]
        await commands.aclose()
