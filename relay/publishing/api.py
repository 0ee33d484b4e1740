"""Publishing from Python: `relay.publish` and `relay.apublish`, in any process of a Django project."""

from typing import Any, Literal, overload

from asgiref.sync import sync_to_async
from django.db import transaction

from relay import conf
from relay.publishing.clients import _client, aclient
from relay.publishing.messages import encode, find


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


# -- the way to Redis


def _send(channel: str, payload: bytes) -> int:
    return int(_client(conf.load().redis_url).publish(channel, payload))


def _send_on_commit(channel: str, payload: bytes) -> None:
    def send_committed() -> None:
        _send(channel, payload)

    transaction.on_commit(send_committed, robust=True)
