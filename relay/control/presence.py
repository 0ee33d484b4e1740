"""Who is there: how many streams each channel has, right across processes.

Each process keeps its own counts in one hash in Redis, which expires unless it is refreshed. A refresh
is one small command however many channels there are; only what has changed is written again.
"""

import asyncio
import json
import logging
import random
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from relay.broker.commands import Commands
from relay.broker.errors import RedisUnavailable

logger = logging.getLogger("relay")

TURN_SECONDS = 0.5
"""How often what has changed is written."""

REFRESH_SECONDS = 10.0
EXPIRY_SECONDS = 30.0
"""After so long without a refresh a process counts as gone, with all of its streams."""

WRITE_CHANNELS = 500
"""How many channels are written at once, so that Redis is never busy for long."""


@dataclass(frozen=True, slots=True)
class Present:
    """`count` open streams; `users` names each once who is known, by user id or token subject."""

    count: int
    users: tuple[str, ...]


async def read_presence(commands: Commands, prefix: str, name: str) -> Present:
    """Returns who has this channel open, or this pattern. Raises RedisUnavailable."""
    entries = [entry.split(b" ", 1) for entry in await _read(commands, prefix, name, "all")]
    users = {user for _, text in entries for user in json.loads(text)}
    return Present(sum(int(count) for count, _ in entries), tuple(sorted(users)))


async def count_streams(commands: Commands, prefix: str, name: str) -> int:
    """Returns how many streams of this channel are open. Raises RedisUnavailable."""
    return sum(int(count) for count in await _read(commands, prefix, name, "count"))


async def _read(commands: Commands, prefix: str, name: str, what: str) -> list[bytes]:
    place = _place(prefix)
    keys, arguments = [f"{place}processes"], [f"{place}of:", name, what]
    return list(await commands.script("presence_read", keys, arguments))


def _place(prefix: str) -> str:
    return f"{prefix}:{{presence}}:"


class Presence:
    """The hub says who comes and goes; `run` tells Redis, `of` asks it."""

    def __init__(self, commands: Commands, prefix: str) -> None:
        self._commands = commands
        self._process = secrets.token_hex(8)
        self._prefix = prefix
        self._place = _place(prefix)
        self._here: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._changed: set[str] = set()
        self._refresh_at = 0.0
        self._failing = False

    def enter(self, names: Iterable[str], user: str) -> None:
        """A stream of these channels has opened; `user` is empty where that is not known."""
        for name in names:
            self._here[name][user] += 1
            self._changed.add(name)

    def leave(self, names: Iterable[str], user: str) -> None:
        """Such a stream has ended."""
        for name in names:
            users = self._here[name]
            users[user] -= 1
            if not users[user]:
                del users[user]
            if not users:
                del self._here[name]
            self._changed.add(name)

    async def of(self, name: str) -> Present:
        """Who has this channel open, or this pattern. Raises RedisUnavailable."""
        return await read_presence(self._commands, self._prefix, name)

    async def count(self, name: str) -> int:
        """How many streams of this channel are open. Raises RedisUnavailable."""
        return await count_streams(self._commands, self._prefix, name)

    async def run(self) -> None:
        """Until it is cancelled; then this process is gone at once."""
        try:
            while True:
                await self._write_due()
                await asyncio.sleep(TURN_SECONDS)
        finally:
            with suppress(RedisUnavailable):
                await self._commands.run("DEL", self._entries)

    @property
    def _entries(self) -> str:
        return f"{self._place}of:{self._process}"

    async def _write_due(self) -> None:
        now = asyncio.get_running_loop().time()
        if not self._changed and now < self._refresh_at:
            return
        try:
            await self._write()
            while self._changed:
                await self._write()
        except RedisUnavailable as error:
            self._fails(error)
            return
        self._refresh_at = now + REFRESH_SECONDS * random.uniform(0.8, 1.0)
        if self._failing:
            self._failing = False
            logger.info("Presence is written again.")

    async def _write(self) -> None:
        names = list(islice(self._changed, WRITE_CHANNELS))
        self._changed.difference_update(names)
        arguments: list[Any] = [self._process, round(EXPIRY_SECONDS * 1000)]
        for name in names:
            arguments += [name, self._entry(name)]
        try:
            keys = [f"{self._place}processes", self._entries]
            is_new = await self._commands.script("presence_write", keys, arguments)
        except RedisUnavailable:
            self._changed.update(names)
            raise
        if is_new:
            self._changed.update(self._here.keys() - set(names))

    def _entry(self, name: str) -> str:
        users = self._here.get(name)
        if users is None:
            return ""
        known = sorted(user for user in users if user)
        return f"{users.total()} {json.dumps(known, separators=(',', ':'))}"

    def _fails(self, error: RedisUnavailable) -> None:
        # That Redis is away is for the listener to say.
        if error.refused and not self._failing:
            self._failing = True
            logger.warning(
                "Presence cannot be written: %s. Its counts leave this process out.", error
            )
