"""Where messages leave this process. Every message passes one of the two methods of an outlet."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from relay import conf
from relay.broker.sync import run_sync, script_sync
from relay.publishing import rates
from relay.publishing.clients import client, commands
from relay.publishing.once import Outgoing, Published, added, entries_script, publish_once


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
        settings = conf.load()
        if outgoing.stored is not None:
            script = entries_script(outgoing, outgoing.stored)
            return added(run_sync(lambda: script_sync(client(settings.redis_url), *script), "XADD"))
        [message] = outgoing.messages
        words = settings.publish_command, outgoing.channel, message
        taken_by = run_sync(lambda: client(settings.redis_url).execute_command(*words), words[0])
        return Published(1, int(taken_by), again=False)

    async def asend(self, outgoing: Outgoing) -> Published:
        connected = await commands()
        settings = conf.load()
        if outgoing.stored or outgoing.once is not None or len(outgoing.messages) != 1:
            return await publish_once(connected, settings, outgoing)
        [message] = outgoing.messages
        subscribers = await connected.run(settings.publish_command, outgoing.channel, message)
        return Published(1, int(subscribers), again=False)

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
