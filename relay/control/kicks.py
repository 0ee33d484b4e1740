"""Kicks: ends open streams from outside, on every hub process within a second.

A kick is noted in Redis; a message through the channel layer only says "look". A message that is lost
therefore delays a kick and loses none: each process looks with every message, when it has connected
again, and every RENEW_SECONDS.

Where this diverges from how consumers use channels_redis, and why:

* One task of the process receives, not the streams: they cost the layer nothing, and none of its
  errors can reach them.
* That task has a layer of its own. A layer lets only one event loop receive, and only pools that
  nobody else uses may be closed. Whoever kicks uses the shared one: each layer wraps `loop.close`
  for good, so one for every kick would be a leak.
* `brpop_timeout` is shortened. It is 5 s, which is also redis-py's socket timeout, so every 5 s
  without a message might end in an error.
* The membership of the group is renewed with each look that is not for a message: Redis forgets it
  with a restart, and the layer after `group_expiry`.
* Waits are tasks that are cancelled until they end (`_within`), not `asyncio.timeout`: redis-py sends
  with `asyncio.wait_for`, which before Python 3.12 may swallow a cancellation
  (https://bugs.python.org/issue42130), and then neither a wait nor the process would end.
"""

import asyncio
import logging
import secrets
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol

from asgiref.sync import async_to_sync
from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import channel_layers

from relay import conf, tasks
from relay.broker.address import RedisAddress
from relay.broker.commands import Commands
from relay.broker.errors import RedisUnavailable

logger = logging.getLogger("relay")

KEEP_SECONDS = 3600.0
"""How long a process may be away from Redis and still find what was kicked."""

RENEW_SECONDS = 30.0
"""How often a process looks without having been told to."""

ALIVE_SECONDS = 75.0
"""After this long without a sign a process counts as gone: it may be late with one."""


LAYER_SECONDS = 2.0
SEND_ATTEMPTS = 3


class HasUser(Protocol):
    @property
    def user(self) -> str: ...


class Open(Protocol):
    """What a kick needs to know of an open stream."""

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def owner(self) -> HasUser: ...


@dataclass(frozen=True, slots=True)
class Kick:
    """Whose streams end: a user's (an id, or a token's subject), a channel's, or else everybody's."""

    user: str = ""
    channel: str = ""

    @classmethod
    def of(cls, user: str | None, channel: str | None, everybody: bool) -> "Kick":
        """Raises ValueError unless exactly one is given."""
        given = [value for value in (user, channel) if value is not None]
        if len(given) + bool(everybody) != 1:
            raise ValueError("Name exactly one to kick: a user, a channel, or all.")
        if not all(isinstance(value, str) and value for value in given):
            raise ValueError(f"{given[0]!r} cannot be kicked. Use the id or the name, as text.")
        return cls(user or "", channel or "")

    @classmethod
    def decode(cls, entry: bytes) -> "Kick | None":
        """None for what another version may have written."""
        _, _, text = entry.decode(errors="replace").partition(" ")
        kind, _, name = text.partition(" ")
        if kind == "all":
            return cls()
        if not name or kind not in {"user", "channel"}:
            return None
        return cls(name) if kind == "user" else cls(channel=name)

    def encode(self) -> str:
        """An entry that is like no other."""
        kind = "user" if self.user else "channel" if self.channel else "all"
        return f"{secrets.token_hex(8)} {kind} {self.user or self.channel}"

    def covers(self, stream: Open) -> bool:
        """Whether the stream ends; one of a pattern is a stream of every channel that matches it."""
        if self.user:
            return stream.owner.user == self.user
        if self.channel:
            return any(_brings(name, self.channel) for name in stream.names)
        return True


def kick(*, user: str | None = None, channel: str | None = None, all: bool = False) -> int:
    """Ends the streams of one user, of one channel, or all; returns how many hub processes there are.

    Raises ValueError unless exactly one is given, relay.RedisError when Redis does not take it.
    """
    return async_to_sync(akick)(user=user, channel=channel, all=all)


async def akick(*, user: str | None = None, channel: str | None = None, all: bool = False) -> int:
    """The same as `kick`, for asynchronous code."""
    entry = Kick.of(user, channel, all).encode()
    settings = conf.load()
    address = RedisAddress(settings.redis_url)
    commands = Commands(address.client)
    times = [round(KEEP_SECONDS * 1000), round(ALIVE_SECONDS * 1000)]
    try:
        processes = await commands.script("kick_note", _keys(settings.prefix), [entry, *times])
    except RedisUnavailable as error:
        text = f"Redis {address.name}: {str(error).rstrip('.')}. Nobody was kicked."
        raise RedisUnavailable(text, refused=error.refused) from None
    finally:
        await commands.aclose()
    await _tell(settings.prefix)
    return int(processes)


async def _tell(prefix: str) -> None:
    try:
        if not await _within(LAYER_SECONDS, _send(_group(prefix), {"type": "relay.look"})):
            raise TimeoutError("no answer")
    except Exception as error:  # whatever it is, the kick is noted
        reason = _reason(error)
        logger.warning(
            "A kick may take up to %s s: the channel layer failed (%s).", RENEW_SECONDS, reason
        )


async def _send(group: str, message: dict[str, str]) -> None:
    """The connections of a pool break with a restart of Redis, and each tells it only once."""
    layer = channel_layers[DEFAULT_CHANNEL_LAYER]
    for _ in range(SEND_ATTEMPTS - 1):
        with suppress(Exception):
            await layer.group_send(group, message)
            return
    await layer.group_send(group, message)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _brings(name: str, channel: str) -> bool:
    return name == channel or ("*" in name and fnmatchcase(channel, name))


def _keys(prefix: str) -> list[str]:
    return [f"{prefix}:kicks", f"{prefix}:processes"]


def _group(prefix: str) -> str:
    return f"{prefix.replace(':', '.')}.control"  # a group's name must not have a colon


async def _within(seconds: float | None, work: Coroutine[Any, Any, object]) -> bool:
    """Does the work; False when it was not done in time, and was given up."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda task: task.cancelled() or task.exception())
    try:
        await asyncio.wait([task], timeout=seconds)
        in_time = task.done()
    finally:
        await tasks.end([task])
    if in_time:
        task.result()
    return in_time
