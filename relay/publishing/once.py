"""Requests that may be repeated: one with a key is sent once, by whichever process."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from relay.broker.commands import Commands
from relay.broker.keys import HubKeys

KEEP_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Published:
    """`number` messages went to `subscribers` subscribers. `again`: an earlier request sent them."""

    number: int
    subscribers: int
    again: bool


def once_key(prefix: str, subject: str, channel: str, key: str) -> str:
    """Returns where the result of a request is kept. Keys come from clients, so it is a hash."""
    request = json.dumps([subject, channel, key]).encode()
    return HubKeys(prefix).once(hashlib.sha256(request).hexdigest())


async def publish_once(
    commands: Commands, channel: str, messages: Sequence[bytes], key: str | None
) -> Published:
    """Sends all messages with nothing between them, unless that was done under `key` before.

    Raises RedisUnavailable. When Redis refused, nothing was sent.
    """
    keys = [key] if key is not None else []
    arguments = [channel, KEEP_SECONDS, *messages]
    again, number, subscribers = await commands.script("publish_once", keys, arguments)
    return Published(int(number), int(subscribers), again == 1)
