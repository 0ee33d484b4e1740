"""Requests that may be repeated: one with a key is sent once, by whichever process."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from relay.broker.commands import Commands
from relay.broker.keys import Keys
from relay.conf import Settings

KEEP_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Messages of one channel, in their order. A request with a key (`once`) is sent only once."""

    channel: str
    messages: Sequence[bytes]
    once: str | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """`number` messages went to `subscribers` subscribers. `again`: an earlier request sent them."""

    number: int
    subscribers: int
    again: bool


def once_key(prefix: str, subject: str, channel: str, key: str) -> str:
    """Returns where the result of a request is kept. Keys come from clients, so it is a hash."""
    request = json.dumps([subject, channel, key]).encode()
    return Keys.of(prefix, channel).once(hashlib.sha256(request).hexdigest())


async def publish_once(commands: Commands, settings: Settings, outgoing: Outgoing) -> Published:
    """Sends all messages with nothing between them, unless that was done under the key before.

    Raises RedisUnavailable. When Redis refused, nothing was sent.
    """
    keys = [Keys.of(settings.prefix, outgoing.channel).once("")]
    if outgoing.once is not None:
        keys.append(outgoing.once)
    arguments = [outgoing.channel, KEEP_SECONDS, settings.publish_command, *outgoing.messages]
    again, number, subscribers = await commands.script("publish_once", keys, arguments)
    return Published(int(number), int(subscribers), again == 1)
