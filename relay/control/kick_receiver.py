"""Receives kicks."""

import asyncio
import logging
import random
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import channel_layers

from relay.broker.commands import Commands
from relay.broker.errors import RedisUnavailable
from relay.control.kicks import (
    ALIVE_SECONDS,
    LAYER_SECONDS,
    RENEW_SECONDS,
    Kick,
    Open,
    _group,
    _keys,
    _reason,
    _within,
)

logger = logging.getLogger("relay")

OVERLAP_SECONDS = 60.0
"""How far before its last look a process looks again, for a Redis whose clock was set back."""


HOLD_SECONDS = 0.5
"""A kick also ends what is asked for so soon after: Django's logout tells before it ends the session."""


LEAVE_SECONDS = 0.5


POP_SECONDS = 2


BACKOFF_SECONDS = 0.05, 1.0
"""The first and the longest pause between two attempts, before jitter shortens it."""


FAILURES_TOLD = 3
"""So many failures in a row are told: one or two come with every restart of Redis."""


SLICE = 256
"""Streams ended before the event loop gets its turn."""


Stream = TypeVar("Stream", bound=Open)


class Kicks(Generic[Stream]):
    """Applies every kick that is noted while the process lives to the streams of the process, once."""

    def __init__(
        self,
        streams: Iterable[Stream],
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
        """Raises RedisUnavailable."""
        alive_ms = round(ALIVE_SECONDS * 1000)
        words = [self._process, self._since_ms, alive_ms]
        now_ms, found = await self._commands.script("kick_look", self._keys, words)
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
        if not isinstance(error, RedisUnavailable) or error.refused:
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
