"""Seats: how many streams each user and address has, over all processes, against their limits.

Each process writes its own numbers into a hash in Redis for each owner. A process that has no Redis counts
only its own streams.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice

from relay.broker.commands import Commands
from relay.broker.errors import RedisUnavailable
from relay.broker.keys import HubKeys
from relay.broker.outage import Outage
from relay.control.processes import Processes
from relay.flag import Flag

REFRESH_SECONDS = 30.0
"""How often all numbers are written again, for Redis may have lost them."""

EXPIRY_MS = 120_000
"""How long a number counts after it was written."""

AGAIN_SECONDS = 1.0
"""The pause before what could not be written is tried again."""

WRITE_OWNERS = 500
"""The number of owners in one write, so that Redis is never busy for long."""

Owner = tuple[str, str]
"""The kind of limit (`user`, `address`), and the user or address."""


class Seats:
    """The seats of this process. `run` writes the numbers that have changed to Redis."""

    def __init__(
        self, limits: Mapping[str, int], commands: Commands, keys: HubKeys, processes: Processes
    ) -> None:
        self._limits = {kind: limit for kind, limit in limits.items() if limit}
        self._commands = commands
        self._keys = keys
        self._processes = processes
        self._here: Counter[Owner] = Counter()
        self._changed: dict[Owner, None] = {}
        self._some_changed = Flag()
        self._outage = Outage(
            "The streams of users and addresses cannot be counted together: %s. Each process counts alone.",
            "The streams of users and addresses are counted together again.",
        )

    def limited(self, owners: Iterable[Owner]) -> list[Owner]:
        """Returns those that have a limit."""
        return [owner for owner in owners if owner[0] in self._limits]

    def any_full(self, owners: Iterable[Owner]) -> bool:
        """Whether one of the owners has all its seats in this process alone."""
        return any(self._here[owner] >= self._limits[owner[0]] for owner in self.limited(owners))

    async def take(self, owners: Sequence[Owner]) -> bool:
        """Takes a seat of each owner. Returns whether all have one left, over all processes.

        Call `leave` when the stream has ended or could not be opened.
        """
        limited = self.limited(owners)
        if not limited:
            return True
        if self.any_full(limited):
            return False
        self._here.update(limited)  # written only after the answer: it may be no
        asked = {owner: self._here[owner] for owner in limited}
        arguments: list[str | int] = [self._processes.id, EXPIRY_MS]
        for owner, number in asked.items():
            arguments += [self._limits[owner[0]], number]
        keys = [self._keys.processes, *map(self._key, limited)]
        taken = False
        try:
            taken = bool(await self._commands.script("seats_take", keys, arguments))
        except RedisUnavailable:
            taken = True
            self._note(limited)
        finally:
            if not taken:
                self._here.subtract(limited)
            # What others have changed meanwhile may have been overtaken by this number.
            self._note(owner for owner in limited if self._here[owner] != asked[owner])
        return taken

    def leave(self, owners: Iterable[Owner]) -> None:
        for owner in self.limited(owners):
            self._here[owner] -= 1
            self._note([owner])

    async def run(self) -> None:
        """Writes the changed numbers until cancelled."""
        loop = asyncio.get_running_loop()
        while self._limits:
            refresh_at = loop.time() + REFRESH_SECONDS
            with suppress(TimeoutError):
                while True:
                    async with asyncio.timeout_at(refresh_at):
                        await self._some_changed.wait()
                    self._some_changed.clear()
                    await self._write_all()
            self._note(self._here)

    def _note(self, owners: Iterable[Owner]) -> None:
        self._changed.update(dict.fromkeys(owners))
        if self._changed:
            self._some_changed.set()

    async def _write_all(self) -> None:
        try:
            while self._changed:
                await self._write()
            self._outage.end(self)
        except RedisUnavailable as error:
            if error.refused:  # the listener reports a lost Redis
                self._outage.begin(self, error)
            await asyncio.sleep(AGAIN_SECONDS)
            self._some_changed.set()

    async def _write(self) -> None:
        owners = list(islice(self._changed, WRITE_OWNERS))
        for owner in owners:
            del self._changed[owner]
        numbers = [self._here[owner] for owner in owners]
        for owner, number in zip(owners, numbers, strict=True):
            if not number:
                self._here.pop(owner, None)
        arguments = [self._processes.id, EXPIRY_MS, *numbers]
        try:
            await self._commands.script("seats_write", [*map(self._key, owners)], arguments)
        except RedisUnavailable:
            self._changed.update(dict.fromkeys(owners))
            raise

    def _key(self, owner: Owner) -> str:
        return self._keys.seats(hashlib.sha256("\n".join(owner).encode()).hexdigest()[:32])
