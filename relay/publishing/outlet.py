"""Where messages leave this process. Every message passes one of the two methods of an outlet."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import redis

from relay import conf
from relay.broker.errors import RedisUnavailable
from relay.publishing import rates
from relay.publishing.clients import client, commands
from relay.publishing.once import Published, publish_once


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Messages of one channel, in their order. A request with a key (`once`) is sent only once."""

    channel: str
    messages: Sequence[bytes]
    once: str | None = None


class Outlet(Protocol):
    """Takes messages. All methods raise RedisUnavailable."""

    def send(self, outgoing: Outgoing) -> Published:
        """Sends the one message of `relay.publish`."""

    async def asend(self, outgoing: Outgoing) -> Published:
        """Sends all messages with nothing between them, or none."""

    async def take(self, subject: str, per_second: int, number: int) -> float:
        """Counts `number` messages of a subject. Returns 0, or how many seconds it has to wait."""


class RedisOutlet:
    """Sends to Redis, with no attempt repeated."""

    def send(self, outgoing: Outgoing) -> Published:
        [message] = outgoing.messages
        try:
            taken_by = client(conf.load().redis_url).publish(outgoing.channel, message)
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            raise RedisUnavailable(str(error) or "no answer", refused=False) from None
        except redis.RedisError as error:
            raise RedisUnavailable(f"Redis refused PUBLISH: {error}", refused=True) from None
        return Published(1, int(taken_by), again=False)

    async def asend(self, outgoing: Outgoing) -> Published:
        connected = await commands()
        channel, messages, once = outgoing.channel, outgoing.messages, outgoing.once
        if once is not None or len(messages) != 1:
            return await publish_once(connected, channel, messages, once)
        return Published(1, int(await connected.run("PUBLISH", channel, messages[0])), again=False)

    async def take(self, subject: str, per_second: int, number: int) -> float:
        return await rates.take(await commands(), conf.load().prefix, subject, per_second, number)


_outlets: list[Outlet] = [RedisOutlet()]


def outlet() -> Outlet:
    """Returns the outlet in force."""
    return _outlets[-1]


@contextmanager
def replaced(replacement: Outlet) -> Iterator[None]:
    """Sends everything of this process to another outlet: in a test, to one that keeps it."""
    _outlets.append(replacement)
    try:
        yield
    finally:
        _outlets.remove(replacement)
