"""The pace of a journal: how long it collects messages for a write, and how often it looks."""

import asyncio
import random
from dataclasses import dataclass

from relay.feed.timeline import Timeline
from relay.flag import Flag


@dataclass(frozen=True, slots=True)
class Pace:
    """`linger`: seconds for which a first message waits for others to be written with it. A write
    costs the process as much as dozens of deliveries.

    `watch`: seconds between two looks of a process that does not write, at the least and at the most.
    By each look the writer must have stored what this process had received at the look before.
    """

    linger: float
    watch: tuple[float, float]


STEADY = Pace(2.0, (2.4, 2.9))
QUICK = Pace(0.1, (0.25, 0.4))
"""The pace after a marker: a process that joined may wait for the history (source/refill.py)."""

QUICK_SECONDS = 2.0
"""How long the quick pace lasts after a marker."""

TRIM_SECONDS = 10.0
TRIM_SHARE = 0.01
"""A history that grows is trimmed after this share of its age limit, or after TRIM_SECONDS if longer."""


class Pacer:
    """The waits of one journal. A marker, or enough messages to write, ends a wait early.

    `run_entries` is the greatest number of entries in one write.
    """

    def __init__(self, timeline: Timeline, keep_seconds: float, run_entries: int) -> None:
        self._timeline = timeline
        self._run_entries = run_entries
        self._trim_seconds = max(TRIM_SECONDS, keep_seconds * TRIM_SHARE)
        self._trim_at: float | None = None  # None while nothing was written since the last trim
        self._news = Flag()
        self._urgent = Flag()
        self._quick_until = 0.0
        self._epoch = 0
        self._enough_at = 0, 0  # the counts of messages and of bytes that end a wait

    def wake(self) -> None:
        """Called after messages were received, for every read from Redis, so it must stay cheap."""
        timeline = self._timeline
        enough, enough_bytes = self._enough_at
        if timeline.epoch != self._epoch:
            self._epoch = timeline.epoch
            self._quick_until = asyncio.get_running_loop().time() + QUICK_SECONDS
            self._urgent.set()
        elif timeline.count >= enough or timeline.ring.added_bytes >= enough_bytes:
            self._urgent.set()
        self._news.set()

    def signal(self) -> None:
        """Ends a wait for news, although nothing new was received."""
        self._news.set()

    # -- waits

    async def until_news(self) -> bool:
        """Waits until something is received. Returns False when a trim is due first."""
        self._news.clear()
        try:
            async with asyncio.timeout_at(self._trim_at):
                return await self._news.wait()
        except TimeoutError:
            return False

    async def linger(self) -> None:
        """Waits for more messages to write."""
        await self._pause(self._pace.linger)

    async def until_next_look(self) -> None:
        """Waits until the next look at what another process has written."""
        if await self._pause(random.uniform(*self._pace.watch)):
            await asyncio.sleep(random.uniform(*QUICK.watch))

    @property
    def _pace(self) -> Pace:
        quick = asyncio.get_running_loop().time() < self._quick_until
        return QUICK if quick else STEADY

    async def _pause(self, seconds: float) -> bool:
        """Waits. Returns True, and early, after a marker or when there is enough to write.

        Enough is a whole run, or half of the ring, which must be written before it is evicted.
        """
        ring = self._timeline.ring
        self._urgent.clear()
        self._enough_at = (
            self._timeline.count + min(self._run_entries, ring.max_entries // 2),
            ring.added_bytes + ring.max_bytes // 2,
        )
        try:
            async with asyncio.timeout(seconds):
                return await self._urgent.wait()
        except TimeoutError:
            return False

    # -- trimming

    def wrote(self, now: float) -> None:
        """Records that the history has grown, so that a trim becomes due some time after `now`."""
        if self._trim_at is None:
            self._trim_at = now + self._trim_seconds * random.uniform(0.5, 1.5)

    def is_trim_due(self, now: float) -> bool:
        """Whether to trim now. If so, the next trim becomes due only after another write."""
        due = self._trim_at is not None and now >= self._trim_at
        if due:
            self._trim_at = None
        return due
