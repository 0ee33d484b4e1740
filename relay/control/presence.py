"""Presence: how many streams each channel has, over all processes.

Each process keeps its own counts in one hash in Redis, which expires unless it is refreshed. A refresh
is one small command for any number of channels. Only changed counts are written again.
"""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from relay.broker.commands import Commands
from relay.broker.errors import RedisUnavailable
from relay.broker.keys import HubKeys
from relay.broker.link import Link
from relay.broker.outage import Outage
from relay.control.processes import Processes

TURN_SECONDS = 0.5
"""How often changed counts are written."""

WRITE_CHANNELS = 500
"""The number of channels in one write, so that Redis is never busy for long."""


@dataclass(frozen=True, slots=True)
class Present:
    """The number of open streams, and each known user once, by user id or token subject."""

    count: int
    users: tuple[str, ...]


class PresenceReader:
    """Reads the counts from Redis. No hub needs to run in this process."""

    def __init__(self, commands: Commands, keys: HubKeys) -> None:
        self._commands = commands
        self._keys = keys

    async def of(self, name: str) -> Present:
        """Returns the streams and users of a channel or pattern. Raises RedisUnavailable."""
        entries = [entry.split(b" ", 1) for entry in await self._read(name, "all")]
        users = {user for _, text in entries for user in json.loads(text)}
        return Present(sum(int(count) for count, _ in entries), tuple(sorted(users)))

    async def count(self, name: str) -> int:
        """Returns the number of open streams of a channel or pattern. Raises RedisUnavailable."""
        return sum(int(count) for count in await self._read(name, "count"))

    async def _read(self, name: str, what: str) -> list[bytes]:
        arguments = [self._keys.presence, name, what]
        found = await self._commands.script("presence_read", [self._keys.processes], arguments)
        return list(found)


class Presence:
    """Counts the streams of this process. `run` writes the counts to Redis."""

    def __init__(self, commands: Commands, keys: HubKeys, processes: Processes, link: Link) -> None:
        self._commands = commands
        self._keys = keys
        self._processes = processes
        self._link = link
        self._restorations = 0
        self._key = keys.presence + processes.id
        self._here: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._changed: set[str] = set()
        self._refresh_at = 0.0
        self._outage = Outage(
            "Presence cannot be written: %s. Its counts leave this process out.",
            "Presence is written again.",
        )

    def enter(self, names: Iterable[str], user: str) -> None:
        """Counts a new stream of these channels. `user` is empty if unknown."""
        for name in names:
            self._here[name][user] += 1
            self._changed.add(name)

    def leave(self, names: Iterable[str], user: str) -> None:
        """Uncounts a stream that has ended."""
        for name in names:
            users = self._here[name]
            users[user] -= 1
            if not users[user]:
                del users[user]
            if not users:
                del self._here[name]
            self._changed.add(name)

    async def run(self) -> None:
        """Writes the counts until cancelled. Then removes those of this process at once."""
        self._refresh_at = 0.0
        try:
            while True:
                await self._write_due()
                await asyncio.sleep(TURN_SECONDS)
        finally:
            with suppress(RedisUnavailable):
                await self._commands.run("DEL", self._key)
                await self._processes.leave()

    async def _write_due(self) -> None:
        now = asyncio.get_running_loop().time()
        restorations = self._link.restorations  # a new master may lack the list and the counts
        is_due = now >= self._refresh_at or restorations != self._restorations
        if not self._changed and not is_due:
            return
        try:
            await self._processes.sign()
            await self._write()
            while self._changed:
                await self._write()
        except RedisUnavailable as error:
            if error.refused:  # the listener reports a lost Redis
                self._outage.begin(self, error)
            return
        self._refresh_at = now + self._processes.pause()
        self._restorations = restorations
        self._outage.end(self)

    async def _write(self) -> None:
        names = list(islice(self._changed, WRITE_CHANNELS))
        self._changed.difference_update(names)
        arguments: list[Any] = [self._processes.expiry_ms]
        for name in names:
            arguments += [name, self._entry(name)]
        try:
            is_new = await self._commands.script("presence_write", [self._key], arguments)
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
