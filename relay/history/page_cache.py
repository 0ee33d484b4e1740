"""A cache of history pages, each read once for all clients that need it at the same time."""

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from operator import attrgetter

from relay.feed.entries import Entry
from relay.history.history import History
from relay.stats import Stats
from relay.wire.position import Position

PAGE_ENTRIES = 128
PAGE_BYTES = 256 * 1024
KEPT_PAGES = 64
TAIL_SECONDS = 0.05
"""How long an incomplete page is cached. Clients that need more poll again anyway."""

KEPT_SECONDS = 2.0
"""How long a full page is cached. Only trimming can change it."""


_POSITION = attrgetter("position")


class PageCache:
    """Pages begin at fixed offsets, so that clients with nearby positions share them.

    If large messages fill a page before it reaches a client's position, the next page begins at that
    position.
    """

    def __init__(self, history: History, stats: Stats) -> None:
        self._history = history
        self._stats = stats
        self._pages: OrderedDict[Position, asyncio.Task[Sequence[Entry]]] = OrderedDict()

    async def after(self, position: Position) -> Sequence[Entry]:
        """Returns the next entries after `position`; none if the history has none yet.

        Raises RedisUnavailable.
        """
        following = position.offset + 1
        aligned = Position(position.epoch, following - following % PAGE_ENTRIES)
        entries = await self._page(aligned)
        if not entries or entries[-1].position > position:
            return entries[bisect_right(entries, position, key=_POSITION) :]
        if len(entries) == PAGE_ENTRIES:
            return []  # cannot happen: a full page from `aligned` on reaches beyond `position`
        return await self._page(Position(position.epoch, following))

    async def _page(self, first: Position) -> Sequence[Entry]:
        task = self._pages.get(first)
        if task is None:
            task = self._pages[first] = asyncio.create_task(self._load(first))
            task.add_done_callback(_retrieve)
            while len(self._pages) > KEPT_PAGES:
                self._pages.popitem(last=False)
        # A client that leaves must not cancel the read for the others.
        return await asyncio.shield(task)

    async def _load(self, first: Position) -> Sequence[Entry]:
        self._stats.pages_read += 1
        try:
            entries = await self._history.read(first, PAGE_ENTRIES, PAGE_BYTES)
        except BaseException:
            self._pages.pop(first, None)
            raise
        seconds = KEPT_SECONDS if len(entries) == PAGE_ENTRIES else TAIL_SECONDS
        asyncio.get_running_loop().call_later(seconds, self._pages.pop, first, None)
        return entries


def _retrieve(task: asyncio.Task[Sequence[Entry]]) -> None:
    """Marks an error as retrieved, because every client that waited may have left by now."""
    if not task.cancelled():
        task.exception()
