"""Publishing from Python: `relay.publish` and `relay.apublish`, in any process of a Django project."""

import asyncio
import json
from collections.abc import AsyncGenerator
from functools import cache
from typing import Any, Literal, overload

import redis
from asgiref.sync import sync_to_async
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from redis.asyncio import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from relay import conf, frames
from relay.catalogue import Found
from relay.envelope import unwrap, wrap
from relay.subscription import COMMAND_OPTIONS, COMMAND_SECONDS, RedisAddress


@overload
def publish(
    channel: str, data: Any, *, event: str | None = None, on_commit: Literal[False] = False
) -> int: ...
@overload
def publish(
    channel: str, data: Any, *, event: str | None = None, on_commit: Literal[True]
) -> None: ...
@overload
def publish(
    channel: str, data: Any, *, event: str | None = None, on_commit: bool
) -> int | None: ...
def publish(
    channel: str, data: Any, *, event: str | None = None, on_commit: bool = False
) -> int | None:
    """Sends one message; returns how many subscribers took it, which are mostly hub processes.

    `data` is the message if it is text or bytes; anything else is made compact JSON, dates, Decimals
    and UUIDs included. `event` names the event (docs/publishing.md, "Named events").

    With `on_commit` the message, as it is now, is sent when the database transaction has been
    committed, or never if it is rolled back; outside of one, at once. Then None is returned, and an
    error of Redis is logged by Django and not raised: what has been committed has been done.

    Raises ValueError for a channel, event or message that cannot be sent, TypeError for data that JSON
    has no form for, and redis.exceptions.RedisError when Redis cannot or will not. After a timeout it
    is not known whether the message was sent.
    """
    found = find(channel)
    payload = encode(found, data, event)
    if not on_commit:
        return _send(found.name, payload)
    _send_on_commit(found.name, payload)
    return None


@overload
async def apublish(
    channel: str, data: Any, *, event: str | None = None, on_commit: Literal[False] = False
) -> int: ...
@overload
async def apublish(
    channel: str, data: Any, *, event: str | None = None, on_commit: Literal[True]
) -> None: ...
@overload
async def apublish(
    channel: str, data: Any, *, event: str | None = None, on_commit: bool
) -> int | None: ...
async def apublish(
    channel: str, data: Any, *, event: str | None = None, on_commit: bool = False
) -> int | None:
    """`publish` for async code; the event loop goes on meanwhile.

    The transaction of `on_commit` is that of the thread which `sync_to_async` uses.
    """
    found = find(channel)
    payload = encode(found, data, event)
    if not on_commit:
        return int(await (await aclient()).publish(found.name, payload))
    await sync_to_async(_send_on_commit)(found.name, payload)
    return None


# -- what is sent


def find(channel: str) -> Found:
    """What the catalogue has under a name. Raises ValueError for what is no single channel of it."""
    found = conf.catalogue().find(channel)
    if found is None or found.is_wildcard:
        raise ValueError(f"{channel!r} is no channel of RELAY_CHANNELS.")
    return found


def encode(found: Found, data: Any, event: str | None) -> bytes:
    """The message that stands for `data`. Raises ValueError or TypeError where none can."""
    payload = _payload(data)
    if event is not None:
        if not found.spec.envelope:
            raise ValueError(
                f"{found.name!r} has no named events. Set envelope=True in its entry in RELAY_CHANNELS."
            )
        payload = wrap(event, payload.decode())
    size = event_size(found, payload)
    if size > found.spec.event_bytes:
        raise ValueError(
            f"The message has {size} bytes as an event; {found.name!r} takes {found.spec.event_bytes}"
            " (event_bytes of its entry in RELAY_CHANNELS, or RELAY_EVENT_BYTES)."
        )
    return payload


def event_size(found: Found, payload: bytes) -> int:
    """How many bytes the hub counts against the channel's event_bytes."""
    if not payload.isascii():
        payload = payload.decode(errors="replace").encode()
    if found.spec.envelope and (wish := unwrap(payload)) is not None:
        payload = wish.data
    return frames.message_size(payload)


def _payload(data: Any) -> bytes:
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    text = json.dumps(
        data, cls=DjangoJSONEncoder, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return text.encode()


# -- the way to Redis


def _send(channel: str, payload: bytes) -> int:
    return int(_client(conf.load().redis_url).publish(channel, payload))


def _send_on_commit(channel: str, payload: bytes) -> None:
    def send_committed() -> None:
        _send(channel, payload)

    transaction.on_commit(send_committed, robust=True)


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
