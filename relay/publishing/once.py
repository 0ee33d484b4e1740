"""Publishing that may be repeated: what has a key is sent once, by whatever process."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from relay.broker.commands import Commands
from relay.broker.keys import HubKeys

KEEP_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Published:
    """`number` messages, taken by `subscribers` subscribers; `again`: it was an earlier request."""

    number: int
    subscribers: int
    again: bool


def once_key(prefix: str, subject: str, channel: str, key: str) -> str:
    """Where the result of a request is kept; a hash, since keys come from clients."""
    told = json.dumps([subject, channel, key]).encode()
    return HubKeys(prefix).once(hashlib.sha256(told).hexdigest())


async def publish_once(
    commands: Commands, channel: str, messages: Sequence[bytes], key: str | None
) -> Published:
    """Sends all messages in one go, nothing between them, unless that was done under `key` before.

    Raises RedisUnavailable; when Redis refused, nothing was sent.
    """
    keys = [key] if key is not None else []
    arguments = [channel, KEEP_SECONDS, *messages]
    again, number, subscribers = await commands.script("publish_once", keys, arguments)
    return Published(int(number), int(subscribers), again == 1)
