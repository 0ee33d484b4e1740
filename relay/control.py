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
import random
import secrets
from collections.abc import Callable, Coroutine, Iterable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Generic, Protocol, TypeVar

from asgiref.sync import async_to_sync
from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import channel_layers

from relay import conf, tasks
from relay.commands import Commands
from relay.history import HistoryUnavailable
from relay.subscription import RedisAddress

logger = logging.getLogger("relay")

KEEP_SECONDS = 3600.0
"""How long a process may be away from Redis and still find what was kicked."""

RENEW_SECONDS = 30.0
"""How often a process looks without having been told to."""

ALIVE_SECONDS = 75.0
"""After this long without a sign a process counts as gone: it may be late with one."""

OVERLAP_SECONDS = 60.0
"""How far before its last look a process looks again, for a Redis whose clock was set back."""

HOLD_SECONDS = 0.5
"""A kick also ends what is asked for so soon after: Django's logout tells before it ends the session."""

LAYER_SECONDS = 2.0
LEAVE_SECONDS = 0.5
SEND_ATTEMPTS = 3
POP_SECONDS = 2

BACKOFF_SECONDS = 0.05, 1.0
"""The first and the longest pause between two attempts, before jitter shortens it."""

FAILURES_TOLD = 3
"""So many failures in a row are told: one or two come with every restart of Redis."""

SLICE = 256
"""Streams ended before the event loop gets its turn."""


class HasUser(Protocol):
    @property
    def user(self) -> str: ...


class Open(Protocol):
    """What a kick needs to know of an open stream."""

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def owner(self) -> HasUser: ...


Stream = TypeVar("Stream", bound=Open)


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

    Raises ValueError unless exactly one is given, ConnectionError when Redis does not take it.
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
        processes = await commands.script("kick", _keys(settings.prefix), [entry, *times])
    except HistoryUnavailable as error:
        raise ConnectionError(
            f"Redis {address.name}: {str(error).rstrip('.')}. Nobody was kicked."
        ) from None
    finally:
        await commands.aclose()
    await _tell(settings.prefix)
    return int(processes)


class Kicks(Generic[Stream]):
    """Applies every kick that is noted while the process lives to the streams of the process, once."""

    def __init__(
        self,
        streams: Set[Stream],
        end: Callable[[Stream], object],
        commands: Commands,
        prefix: str,
        renew_seconds: float = RENEW_SECONDS,
    ) -> None:
        self._streams = streams
        self._end = end
        self._commands = commands
        self._keys = _keys(prefix)
        self._group = _group(prefix)
        self._renew_seconds = renew_seconds
        self._process = secrets.token_hex(8)
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._since_ms = 0
        self._applied: dict[bytes, _Applied] = {}
        self._layer: Any = None
        self._channel = ""
        self._pause = BACKOFF_SECONDS[0]
        self._failures = 0

    def reached(self, stream: Stream, asked_at: float) -> bool:
        """Whether a kick came for a new stream while its client was being admitted.

        `asked_at` is when the request came, in the event loop's time.
        """
        for applied in reversed(self._applied.values()):
            if applied.at + HOLD_SECONDS < asked_at:
                return False
            if applied.kick.covers(stream):
                return True
        return False

    async def run(self) -> None:
        """Listens until it is cancelled."""
        try:
            await _within(None, self._listen_always())
        finally:
            with suppress(Exception):  # nobody waits for it: what stays behind in Redis expires
                await _within(LEAVE_SECONDS, self._leave())

    async def _listen_always(self) -> None:
        """Whatever the layer raises is met with another attempt."""
        while True:
            try:
                await self._listen()
            except Exception as error:
                await self._failed(error)

    async def _listen(self) -> None:
        """Looks now and with every message, until the membership of the group is to be renewed."""
        try:
            if not await _within(LAYER_SECONDS, self._join()):
                raise TimeoutError("no answer from the channel layer")
            await self._look()
            self._works()
            renew_at = self._loop.time() + self._renew_seconds * random.uniform(0.8, 1.0)
            while await _within(renew_at - self._loop.time(), self._layer.receive(self._channel)):
                await self._look()
        finally:
            await self._close()

    async def _join(self) -> None:
        if self._layer is None:
            self._layer = channel_layers.make_backend(DEFAULT_CHANNEL_LAYER)
            self._layer.brpop_timeout = POP_SECONDS
            self._channel = await self._layer.new_channel()
        await self._layer.group_add(self._group, self._channel)

    # -- looking

    async def _look(self) -> None:
        """Raises HistoryUnavailable."""
        alive_ms = round(ALIVE_SECONDS * 1000)
        words = [self._process, self._since_ms, alive_ms]
        now_ms, found = await self._commands.script("look", self._keys, words)
        self._since_ms = now_ms - round(OVERLAP_SECONDS * 1000)
        pairs = zip(found[::2], map(float, found[1::2]), strict=True)
        await self._apply(self._note([_Noted(*pair) for pair in pairs], now_ms))
        for entry in [e for e, a in self._applied.items() if a.noted_ms < self._since_ms]:
            del self._applied[entry]

    def _note(self, found: Iterable["_Noted"], now_ms: int) -> list[Kick]:
        """Those that are new. Ages are compared, so it does not matter what the clocks say."""
        at = self._loop.time()
        lived_ms = (at - self._started) * 1000
        new = []
        for noted in found:
            kick = Kick.decode(noted.entry)
            if kick and noted.entry not in self._applied and now_ms - noted.ms <= lived_ms:
                self._applied[noted.entry] = _Applied(kick, noted.ms, at)
                new.append(kick)
        return new

    async def _apply(self, kicks: Sequence[Kick]) -> None:
        users = {kick.user for kick in kicks if kick.user}
        others = [kick for kick in kicks if not kick.user]
        covered = [
            stream
            for stream in (self._streams if kicks else ())
            if stream.owner.user in users or any(kick.covers(stream) for kick in others)
        ]
        for number, stream in enumerate(covered, start=1):
            self._end(stream)
            if number % SLICE == 0:
                await asyncio.sleep(0)

    # -- trouble, and the end

    def _works(self) -> None:
        if self._failures >= FAILURES_TOLD:
            logger.info("Kicks are received again.")
        self._failures = 0
        self._pause = BACKOFF_SECONDS[0]

    async def _failed(self, error: Exception) -> None:
        """Looks in spite of it, then waits a little. The listener tells when Redis itself is away."""
        try:
            await self._look()
        except Exception as another:
            error = another
        if not isinstance(error, HistoryUnavailable) or error.refused:
            self._failures += 1
        if self._failures == FAILURES_TOLD:
            logger.warning("Kicks may come late or not at all: %s. Trying again.", _reason(error))
        await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))
        self._pause = min(self._pause * 2, BACKOFF_SECONDS[1])

    async def _leave(self) -> None:
        try:
            await self._commands.run("ZREM", self._keys[1], self._process)
            if self._layer is not None:
                await self._layer.group_discard(self._group, self._channel)
        finally:
            await self._close()

    async def _close(self) -> None:
        """Leaves no connection and no task of the layer behind; it connects again when it is used."""
        if self._layer is not None:
            for cleaner in self._layer.receive_cleaners:
                cleaner.cancel()
            await self._layer.close_pools()


@dataclass(frozen=True, slots=True)
class _Noted:
    entry: bytes
    ms: float
    """When, by the clock of Redis."""


@dataclass(frozen=True, slots=True)
class _Applied:
    kick: Kick
    noted_ms: float
    at: float
    """When, in the event loop's time."""


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
