"""`relay.publish` and `relay.apublish`."""

from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction

from relay.publishing.messages import outgoing
from relay.publishing.once import Outgoing
from relay.publishing.outlet import outlet


def publish(
    channel: str, data: Any, *, event: str | None = None, on_commit: bool = False
) -> int | None:
    """Sends one message. Returns how many subscribers took it; most of them are hub processes.

    On a stream channel the message is added to the stream, and the result is None: who reads it nobody knows.

    `data` is the message if it is text or bytes. Anything else becomes compact JSON, dates, Decimals
    and UUIDs included. `event` names the event (docs/publishing.md, "Named events").

    With `on_commit` the message, as it is now, is sent when the database transaction has been
    committed, or never if it is rolled back; outside of one, at once. Then None is returned, and
    Django logs an error of Redis instead of raising it, because the commit cannot be undone.

    Raises ValueError for a channel, event or message that cannot be sent, TypeError for data that
    has no JSON form, and relay.RedisError when Redis cannot or will not. Its `refused` is true when
    nothing was sent; otherwise it is not known whether the message was sent.
    """
    message = outgoing(channel, data, event)
    if not on_commit:
        return outlet().send(message).subscribers
    _send_on_commit(message)
    return None


async def apublish(
    channel: str, data: Any, *, event: str | None = None, on_commit: bool = False
) -> int | None:
    """Does what `publish` does, without blocking the event loop.

    The transaction of `on_commit` is that of the thread which `sync_to_async` uses.
    """
    message = outgoing(channel, data, event)
    if not on_commit:
        return (await outlet().asend(message)).subscribers
    await sync_to_async(_send_on_commit)(message)
    return None


def _send_on_commit(message: Outgoing) -> None:
    def send_committed() -> None:
        outlet().send(message)

    transaction.on_commit(send_committed, robust=True)
