"""Requests that may be repeated: one with a key is sent once, by whichever process."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relay.broker.commands import Commands
from relay.broker.keys import Keys
from relay.conf import Settings
from relay.conf.catalogue import Target
from relay.wire.envelope import unwrap

KEEP_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is kept of a stream channel, about. 0 is no bound."""

    size: int
    seconds: float
    named: bool
    """Whether an envelope becomes the fields `event` and `retry`."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Messages of one channel, in their order. A request with a key (`once`) is sent only once.

    `stored` is set for a stream channel, to which they are added.
    """

    channel: str
    messages: Sequence[bytes]
    once: str | None = None
    stored: Bounds | None = None

    @classmethod
    def to(cls, target: Target, messages: Sequence[bytes], once: str | None = None) -> "Outgoing":
        spec = target.spec
        bounds = Bounds(spec.history_size, spec.history_seconds, spec.envelope)
        return cls(target.name, messages, once, bounds if spec.is_stored else None)


@dataclass(frozen=True, slots=True)
class Published:
    """`number` messages went to `subscribers` subscribers. `again`: an earlier request sent them.

    Who reads a stream nobody knows: then `subscribers` is None.
    """

    number: int
    subscribers: int | None
    again: bool


def once_key(prefix: str, subject: str, channel: str, key: str) -> str:
    """Returns where the result of a request is kept. Keys come from clients, so it is a hash."""
    request = json.dumps([subject, channel, key]).encode()
    return Keys.of(prefix, channel).once(hashlib.sha256(request).hexdigest())


async def publish_once(commands: Commands, settings: Settings, outgoing: Outgoing) -> Published:
    """Sends all messages with nothing between them, unless that was done under the key before.

    Raises RedisUnavailable. When Redis refused, nothing was sent.
    """
    if outgoing.stored is not None:
        return added(await commands.script(*entries_script(outgoing, outgoing.stored)))
    keys = [Keys.of(settings.prefix, outgoing.channel).once("")]
    if outgoing.once is not None:
        keys.append(outgoing.once)
    arguments = [outgoing.channel, KEEP_SECONDS, settings.publish_command, *outgoing.messages]
    again, number, subscribers = await commands.script("publish_once", keys, arguments)
    return Published(int(number), int(subscribers), again == 1)


# -- to a stream


def entries_script(outgoing: Outgoing, bounds: Bounds) -> tuple[str, Sequence[str], Sequence[Any]]:
    """Returns the name of the script that adds the messages to their stream, its keys and its arguments."""
    keys = [outgoing.channel, *([outgoing.once] if outgoing.once is not None else [])]
    arguments: list[Any] = [KEEP_SECONDS, bounds.size, round(bounds.seconds * 1000)]
    for message in outgoing.messages:
        words = _fields(message, named=bounds.named)
        arguments += [len(words), *words]
    return "publish_entries", keys, arguments


def added(answer: Sequence[int]) -> Published:
    """Reads what that script returns."""
    again, number = answer
    return Published(int(number), None, again == 1)


def _fields(message: bytes, *, named: bool) -> Sequence[bytes]:
    """Returns the fields of an entry and their values by turns."""
    envelope = unwrap(message) if named else None
    if envelope is None:
        return [b"data", message]
    words = [b"data", envelope.data]
    if envelope.event is not None:
        words += [b"event", envelope.event.encode()]
    if envelope.retry_ms is not None:
        words += [b"retry", b"%d" % envelope.retry_ms]
    return words
