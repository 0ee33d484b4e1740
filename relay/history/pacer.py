"""When the journal does something: how long it waits for company, and how often it looks."""

import asyncio
import random
from dataclasses import dataclass

from relay.feed.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Pace:
    """`linger`: how long a first message waits for others before it is written, in seconds. A write
    costs the process as much as dozens of deliveries.

    `watch`: seconds between two looks of a process that does not write. By each look the writer must
    have stored what this process had heard at the look before.
    """

    linger: float
    watch: tuple[float, float]


STEADY = Pace(2.0, (2.4, 2.9))
QUICK = Pace(0.1, (0.25, 0.4))
"""After a marker: a process that has joined may wait for what is not written yet (source/refill.py)."""

QUICK_SECONDS = 2.0

TRIM_SECONDS = 10.0
TRIM_SHARE = 0.01
"""A history that grows is trimmed after a hundredth of its age, or TRIM_SECONDS."""


class Pacer:
    """The waits of one journal, which a marker or much to write cuts short.

    `run_entries` is how many messages are written at once: so many do not wait for more.
    """

    def __init__(self, timeline: Timeline, keep_seconds: float, run_entries: int) -> None:
        self._timeline = timeline
        self._run_entries = run_entries
        self._trim_seconds = max(TRIM_SECONDS, keep_seconds * TRIM_SHARE)
        self._trim_at: float | None = None  # nothing was written that could grow old
        self._news = asyncio.Event()
        self._urgent = asyncio.Event()
        self._quick_until = 0.0
        self._epoch = 0
        self._enough_at = 0, 0  # the numbers of messages and bytes at which no wait goes on

    def wake(self) -> None:
        """Something was heard. Called for every read from Redis, so it must stay cheap."""
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
        """There is something to do, although nothing new was heard."""
        self._news.set()

    # -- waits

    async def until_news(self) -> bool:
        """Waits until something is heard; False when it is time to trim before that."""
        self._news.clear()
        try:
            async with asyncio.timeout_at(self._trim_at):
                return await self._news.wait()
        except TimeoutError:
            return False

    async def linger(self) -> None:
        """Waits for more to write."""
        await self._pause(self._pace.linger)

    async def until_next_look(self) -> None:
        """Waits before a look at what another process writes."""
        if await self._pause(random.uniform(*self._pace.watch)):
            await asyncio.sleep(random.uniform(*QUICK.watch))

    @property
    def _pace(self) -> Pace:
        quick = asyncio.get_running_loop().time() < self._quick_until
        return QUICK if quick else STEADY

    async def _pause(self, seconds: float) -> bool:
        """Returns True, and early, with a marker, or with enough to write.

        Enough is a whole run, or half of the ring, from which it must be read in time.
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
        """The history has grown: it will have to be trimmed some time after `now`."""
        if self._trim_at is None:
            self._trim_at = now + self._trim_seconds * random.uniform(0.5, 1.5)

    def is_trim_due(self, now: float) -> bool:
        """Whether to trim now; then not again before something new was written."""
        due = self._trim_at is not None and now >= self._trim_at
        if due:
            self._trim_at = None
        return due
