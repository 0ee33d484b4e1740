"""The channels that have open streams now, over all processes, with bounded work.

A look at Redis is shared by all requests of this process for KEPT_SECONDS. It does not depend on what
a request asks for, so neither its result nor its time tells anything about a search.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any
from weakref import WeakKeyDictionary

from relay.broker.commands import Commands
from relay.broker.errors import RedisUnavailable
from relay.broker.keys import HubKeys
from relay.conf.catalogue import Catalogue, Target

KEPT_SECONDS = 2.0
MAX_CHANNELS = 10_000
"""How many channels of patterns a look counts."""

MAX_PROCESSES = 1000
PART = 200
"""About how many channels one script reads. It takes Redis a fraction of a millisecond."""


@dataclass(frozen=True, slots=True)
class Look:
    """`fixed` has the streams of each exact name and wildcard of the catalogue.

    `open` holds the channels of patterns that have streams, those with most streams first. If the look is
    not `complete`, channels are left out, and streams of those that are there.
    """

    fixed: Mapping[str, int]
    open: Mapping[str, tuple[Target, int]]
    complete: bool

    def streams(self, name: str) -> int:
        """Returns how many streams a channel of a pattern has, as far as the look counted them."""
        return self.open[name][1] if name in self.open else 0


class OpenChannels:
    """The latest look of this process; any event loop may ask."""

    def __init__(self) -> None:
        self._latest: tuple[Catalogue, Look | None] | None = None
        self._until = 0.0
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            WeakKeyDictionary()
        )

    async def look(self, commands: Commands, keys: HubKeys, catalogue: Catalogue) -> Look | None:
        """Returns None where Redis cannot be asked, or could not a moment ago."""
        async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            latest = self._latest
            if latest is not None and latest[0] is catalogue and time.monotonic() < self._until:
                return latest[1]
            look = await _look(commands, keys, catalogue)
            self._latest = catalogue, look
            self._until = time.monotonic() + KEPT_SECONDS
            return look


async def _look(commands: Commands, keys: HubKeys, catalogue: Catalogue) -> Look | None:
    count = _Count(commands, keys, catalogue)
    try:
        return await count.all()
    except RedisUnavailable:
        return None


class _Count:
    """One look. Its methods raise RedisUnavailable."""

    def __init__(self, commands: Commands, keys: HubKeys, catalogue: Catalogue) -> None:
        self._commands = commands
        self._keys = keys
        self._catalogue = catalogue
        self._names = [target.name for target in (*catalogue.named, *catalogue.wildcards)]
        self._fixed: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._targets: dict[str, Target] = {}
        self._complete = True

    async def all(self) -> Look:
        last = MAX_PROCESSES - 1
        processes = await self._commands.run("ZRANGE", self._keys.processes, 0, last)
        for process in processes:
            await self._process(self._keys.presence + process.decode(errors="replace"))
        order = sorted(sorted(self._open.items()), key=itemgetter(1), reverse=True)
        found = {name: (self._targets[name], number) for name, number in order}
        return Look(self._fixed, found, self._complete and len(processes) <= last)

    async def _process(self, key: str) -> None:
        """Counts one process. What comes twice counts once."""
        counts: dict[str, int] = {}
        self._fixed.update(dict(zip(self._names, await self._counts_of(key), strict=True)))
        cursor = "0"
        while len(self._open) + len(counts) < MAX_CHANNELS:
            after, _, found = await self._read(key, cursor, PART)
            counts.update(self._of_patterns(found))
            cursor = after.decode()
            if cursor == "0":
                break
        else:
            self._complete = False
        self._open.update(counts)

    async def _counts_of(self, key: str) -> Sequence[int]:
        """Returns the counts of the channels and patterns that are always looked at."""
        if not self._names:
            return []
        return [int(count) for count in (await self._read(key, "0", 0, *self._names))[1]]

    async def _read(self, key: str, cursor: str, number: int, *names: str) -> Any:
        arguments = [key, cursor, number, *names]
        keys = [self._keys.processes]
        return await self._commands.script("presence_look", keys, arguments)

    def _of_patterns(self, found: Sequence[bytes]) -> dict[str, int]:
        pairs = zip(found[::2], found[1::2], strict=True)
        counts = {name.decode(errors="replace"): int(count) for name, count in pairs}
        return {name: count for name, count in counts.items() if count and self._is_open(name)}

    def _is_open(self, name: str) -> bool:
        """Whether it is a channel that only a pattern of the catalogue has."""
        if name not in self._targets:
            target = self._catalogue.find(name)
            if target is None or target.is_wildcard or not target.spec.is_pattern:
                return False
            self._targets[name] = target
        return True
