"""The connections that publish: one pool for each process, one for each event loop."""

import asyncio
from collections.abc import AsyncGenerator
from functools import cache

from relay import conf
from relay.broker.broker import Broker
from relay.broker.commands import Commands
from relay.broker.sync import Client, SyncRedis, open_sync


@cache
def _redis(url: str) -> SyncRedis:
    return open_sync(url)


def client(url: str) -> Client:
    """Returns the client of this process, for code without an event loop. Raises like redis-py."""
    return _redis(url).client()


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
    broker = Broker(key[1])
    try:
        yield broker.commands
    finally:
        del _open[key]
        await broker.aclose()
