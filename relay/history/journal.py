"""Brings what this process has heard into the log, unless another process does."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from relay.broker.errors import RedisUnavailable
from relay.broker.outage import Outage
from relay.feed.entries import Run
from relay.feed.feed import Feed
from relay.history.history import History
from relay.wire.position import Position


@dataclass(frozen=True, slots=True)
class Pace:
    """`linger`: how long a first message waits for company before it is written, in seconds. A write
    costs the process as much as dozens of deliveries.

    `watch`: how often a process that does not write looks whether another one does, which is to have
    written by then what was heard at the look before.
    """

    linger: float
    watch: tuple[float, float]


STEADY = Pace(2.0, (2.4, 2.9))
HASTY = Pace(0.1, (0.25, 0.4))
"""After a marker: whoever has joined may wait for what is not written yet (relay/rejoin.py)."""

HASTE_SECONDS = 2.0

STUCK_SECONDS = 0.1
"""How often it is tried again while somebody else has to write first."""

GRACE_SECONDS = 1.5
"""How long somebody who knows gets to write what comes before; then it is written as a break.

It is a marker that leaves somebody behind, and in so long those who hurry look three times.
"""

RETRY_SECONDS = 0.4
TRIM_SECONDS = 10.0
TRIM_SHARE = 0.01
"""While there is something new, the log is trimmed after a hundredth of its age, or TRIM_SECONDS."""

RUN_ENTRIES = 512
"""The most that is written at once; so many do not wait for more."""

FLUSH_SECONDS = 1.0


class Journal:
    """Every process keeps one, and any of them may write: the log refuses what does not belong.

    To save Redis the work, a process writes only while nobody else does. One that finds its whole
    run already there steps back and only watches; one that finds what it heard a moment ago still
    missing begins to write. Nothing on the way of a live message waits for any of it.
    """

    def __init__(
        self,
        feed: Feed,
        log: History,
        keep_seconds: float,
        is_live: Callable[[], bool],
        trouble: Outage,
    ) -> None:
        self._feed = feed
        self._is_live = is_live
        self._trouble = trouble
        self._log = log
        self._trim_seconds = max(TRIM_SECONDS, keep_seconds * TRIM_SHARE)
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._hasty_until = 0.0
        self._epoch = 0
        self._enough_at = 0, 0  # the numbers of messages and bytes at which no wait goes on
        self._at: Position | None = None  # up to here the log has what this process has
        self._due: Position | None = None
        self._stuck_since: float | None = None
        self._alone = False
        self._trim_at: float | None = None  # nothing was written that could grow old
        self.failing = False
        """The last attempt to write or look failed."""
        self.writing = False

    @property
    def behind(self) -> bool:
        """Whether this process has heard something that it does not know to be in the log."""
        return self._at != self._feed.position

    def wake(self) -> None:
        """Something was heard."""
        feed = self._feed
        enough, enough_bytes = self._enough_at
        if feed.epoch != self._epoch:
            self._epoch = feed.epoch
            self._hasty_until = asyncio.get_running_loop().time() + HASTE_SECONDS
            self._hurry.set()
        elif feed.count >= enough or feed.ring.added_bytes >= enough_bytes:
            self._hurry.set()
        self._wake.set()

    def begin(self) -> None:
        """No other process is there: write at once, there is nobody to wait for."""
        self.writing = True
        self._alone = True
        self._wake.set()

    async def run(self) -> None:
        """Writes and watches until it is cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._wait()
                try:
                    while self.behind and await self.step(loop.time()):
                        pass
                    await self._trim(loop.time())
                    self._works()
                except RedisUnavailable as error:
                    self._fails(error)
                    await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1.5))
        finally:
            self._trouble.end(self)

    async def flush(self) -> None:
        """Writes what is not written yet; for when the process stops. Gives up after a second."""
        loop = asyncio.get_running_loop()
        self.writing = True
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                while self.behind:
                    if not await self.step(loop.time()):
                        await asyncio.sleep(STUCK_SECONDS)
        except (RedisUnavailable, TimeoutError):
            pass

    async def step(self, now: float) -> bool:
        """One exchange with the log; returns whether there is at once more to do."""
        if self.writing:
            return await self._write(now)
        await self._watch()
        return self.writing

    async def _wait(self) -> None:
        """Until there is something to do: news, a look at what another process writes, a trim."""
        if self.behind and not self.writing:
            if await self._pause(random.uniform(*self._pace.watch)):
                await asyncio.sleep(random.uniform(*HASTY.watch))
            return
        if not self.behind:
            self._wake.clear()
            try:
                async with asyncio.timeout_at(self._trim_at):
                    await self._wake.wait()
            except TimeoutError:
                return
        if self._stuck_since is None:
            await self._pause(self._pace.linger)
        else:
            await asyncio.sleep(STUCK_SECONDS)

    @property
    def _pace(self) -> Pace:
        hasty = asyncio.get_running_loop().time() < self._hasty_until
        return HASTY if hasty else STEADY

    async def _pause(self, seconds: float) -> bool:
        """Returns early, and says so, when a marker comes, or enough to be written: a whole run, or
        half of the ring, from which it must be read in time."""
        ring = self._feed.ring
        self._hurry.clear()
        self._enough_at = (
            self._feed.count + min(RUN_ENTRIES, ring.max_entries // 2),
            ring.added_bytes + ring.max_bytes // 2,
        )
        try:
            async with asyncio.timeout(seconds):
                return await self._hurry.wait()
        except TimeoutError:
            return False

    async def _trim(self, now: float) -> None:
        """Drops what is too old, from time to time while there is something new."""
        if self._trim_at is not None and now >= self._trim_at:
            self._trim_at = None
            await self._log.trim()

    async def _watch(self) -> None:
        newest = await self._log.newest()
        if newest is not None and self._feed.knows(newest):
            self._at = newest
        late = self._due is not None and (newest is None or newest < self._due)
        self._due = self._feed.position
        if late:
            self.writing = True

    async def _write(self, now: float) -> bool:
        run = self._feed.run_after(self._at, RUN_ENTRIES)
        if run is None:
            self._at = self._feed.position
            return False
        force = self._stuck_since is not None and (
            self._alone or now - self._stuck_since >= GRACE_SECONDS
        )
        result = await self._log.append(run, force=force)
        if result.newest is not None and result.newest >= run.last:
            self._stuck_since = None
            self._at = result.newest if self._feed.knows(result.newest) else run.last
            self.writing = result.number > 0
            if self.writing and self._trim_at is None:
                self._trim_at = now + self._trim_seconds * random.uniform(0.5, 1.5)
            self._due = None
            self._alone = self._alone and self.behind
            return self.behind
        return self._go_back(run, result.newest, now)

    def _go_back(self, run: Run, newest: Position | None, now: float) -> bool:
        """The log lacks what comes before `run`: write that first, where this process has it."""
        if newest is not None and newest != self._at and self._feed.knows(newest):
            self._at = newest
            return True
        if newest is None and self._at is not None:
            self._at = None  # the log is lost: write again all that there is
            return True
        if self._stuck_since is None:
            self._stuck_since = now
        return self._alone

    def _works(self) -> None:
        self.failing = False
        self._trouble.end(self)

    def _fails(self, error: RedisUnavailable) -> None:
        # That Redis is away is for the listener to say.
        if error.refused or (self.failing and self._is_live()):
            self._trouble.begin(self, error)
        self.failing = True
