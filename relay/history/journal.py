"""Writes what this process has received to the history, unless another process does."""

import asyncio
import random
from dataclasses import dataclass

from relay.broker.errors import RedisUnavailable
from relay.broker.link import Live
from relay.broker.outage import Outage
from relay.feed.entries import Run
from relay.feed.runs import run_after
from relay.feed.timeline import Timeline
from relay.history.history import Appended, History
from relay.history.pacer import Pacer
from relay.wire.position import Position

STUCK_SECONDS = 0.1
"""How often a run is tried again while another process has to write first."""

FIRST_GRACE_SECONDS = 1.5
"""How long the process that opened the first epoch of a channel waits for one that knows what precedes it.

Then it appends its run as a break. Only a marker can leave a process behind. After a marker watchers look
three times in this period. Redis may know no epoch although a process does: of a channel that was
silent for a day.

Counted in tries that Redis refuses, one each STUCK_SECONDS, not by a clock: while Redis is away, or the
machine too busy to run this process, the other processes cannot write either.
"""

GRACE_SECONDS = 2.5
"""The same for every other process. It is longer than that of the first and the time between two markers:
a process that joined later has not heard the first epoch, and its break would end the history before it.
"""

RETRY_SECONDS = 0.4

RUN_ENTRIES = 512
"""The greatest number of entries in one write. As many as this are written without a wait."""

FLUSH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Watching:
    """Another process writes. `due` is the position that it must have stored by the next look."""

    due: Position | None = None


@dataclass(frozen=True, slots=True)
class Writing:
    """This process writes."""


@dataclass(frozen=True, slots=True)
class Stuck(Writing):
    """This process writes, but `tries` times in a row the history lacked the entry before its run."""

    tries: int


State = Watching | Writing | Stuck


class Journal:
    """Writes or watches the history of one channel. Each process has a journal, and any may write.

    The history refuses an entry that does not follow its newest one. To save work a process writes
    only while no other does. A writer that finds its whole run stored becomes a watcher. A watcher
    that finds what it had received by its last look still missing becomes a writer. No live message
    waits for the journal.
    """

    def __init__(
        self, timeline: Timeline, history: History, keep_seconds: float, live: Live, outage: Outage
    ) -> None:
        self._timeline = timeline
        self._history = history
        self._live = live
        self._outage = outage
        self._pacer = Pacer(timeline, keep_seconds, RUN_ENTRIES)
        self._state: State = Watching()
        self._stored_to: Position | None = None  # the newest position known to be in the history
        self._alone = False  # no other process has the entries that this one has yet to write
        self._grace = GRACE_SECONDS
        self.failing = False
        """Whether the last attempt to write or look failed."""
        self.refused = False
        """Whether that was because Redis said no, which need not end by itself."""
        self.wake = self._pacer.wake
        """Called after messages were received."""

    @property
    def behind(self) -> bool:
        """Whether this process has received something that it does not know to be stored."""
        return self._stored_to != self._timeline.position

    @property
    def writing(self) -> bool:
        return isinstance(self._state, Writing)

    @property
    def pending(self) -> int:
        """The number of received messages that this process does not know to be stored."""
        if not self.behind:
            return 0
        timeline, ring = self._timeline, self._timeline.ring
        missing = self._stored_to and timeline.missed_since(self._stored_to, ring.end_place)
        return timeline.count - ring.dropped if missing is None else missing

    def begin(self) -> None:
        """Starts to write at once, because no other process has this channel."""
        self._write_from_now()
        self._alone = True
        self._pacer.signal()

    def join(self, *, first: bool) -> None:
        """Records that others have this channel too, and whether this process opened its first epoch."""
        self._grace = FIRST_GRACE_SECONDS if first else GRACE_SECONDS

    async def run(self) -> None:
        """Writes and watches until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._wait()
                try:
                    while self.behind and await self.step(loop.time()):
                        pass
                    if self._pacer.is_trim_due(loop.time()):
                        await self._history.trim()
                    if not self.behind:  # a stuck writer has stored nothing
                        self._succeeded()
                except RedisUnavailable as error:
                    self._failed(error)
                    await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1.5))
        finally:
            self._outage.end(self)

    async def flush(self) -> None:
        """Writes everything received until now, before the process stops. Gives up after a second."""
        loop = asyncio.get_running_loop()
        target = self._timeline.position
        self._write_from_now()
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                while self._lacks(target):
                    if not await self.step(loop.time()):
                        await asyncio.sleep(STUCK_SECONDS)
        except (RedisUnavailable, TimeoutError):
            pass

    async def step(self, now: float) -> bool:
        """Looks or writes once. Returns whether there is more to do at once."""
        if isinstance(self._state, Watching):
            await self._look(self._state)
            return self.writing
        return await self._write(now)

    async def _wait(self) -> None:
        """Returns when there is something to do: to write, to look, or to trim."""
        if self.behind and not self.writing:
            await self._pacer.until_next_look()
            return
        if not self.behind and not await self._pacer.until_news():
            return
        if isinstance(self._state, Stuck):
            await asyncio.sleep(STUCK_SECONDS)
        else:
            await self._pacer.linger()

    def _lacks(self, target: Position | None) -> bool:
        """Whether the history may not reach up to `target` yet."""
        return self.behind and (
            self._stored_to is None or target is None or self._stored_to < target
        )

    def _write_from_now(self) -> None:
        if not self.writing:
            self._state = Writing()

    # -- another process writes

    async def _look(self, state: Watching) -> None:
        newest = await self._history.newest()
        if newest is not None and self._timeline.knows(newest):
            if self._stored_to is not None and newest > self._stored_to:
                self._succeeded()  # on a busy channel a watcher is always behind
            self._stored_to = newest
        if not isinstance(self._state, Watching):
            return  # it became a writer meanwhile
        overdue = state.due is not None and (newest is None or newest < state.due)
        self._state = Writing() if overdue else Watching(self._timeline.position)

    # -- this process writes

    async def _write(self, now: float) -> bool:
        run = run_after(self._timeline, self._stored_to, RUN_ENTRIES)
        if run is None:
            self._stored_to = self._timeline.position
            return False
        result = await self._history.append(run, force=self._may_break())
        if result.newest is not None and result.newest >= run.last:
            self._note_stored(run.last, result, now)
            return self.behind
        return self._go_back(run, result.newest)

    def _may_break(self) -> bool:
        """Whether the run may be appended although the entry before it is missing."""
        if not isinstance(self._state, Stuck):
            return False
        return self._alone or self._state.tries * STUCK_SECONDS >= self._grace

    def _note_stored(self, last: Position, result: Appended, now: float) -> None:
        """Records that the history has the run, whichever process wrote it."""
        newest = result.newest
        self._stored_to = newest if newest is not None and self._timeline.knows(newest) else last
        self._state = Writing() if result.number else Watching()
        if result.number:
            self._pacer.wrote(now)
        self._alone = self._alone and self.behind

    def _go_back(self, run: Run, newest: Position | None) -> bool:
        """Goes back to write the missing entries before `run`, if this process has them.

        Returns whether to write again at once.
        """
        if newest is not None and newest != self._stored_to and self._timeline.knows(newest):
            self._stored_to = newest
            return True
        if newest is None and self._stored_to is not None:
            self._stored_to = None  # the history is lost: write everything in the ring again
            return True
        self._state = Stuck(self._state.tries + 1 if isinstance(self._state, Stuck) else 1)
        return self._alone

    # -- reports to the operator

    def _succeeded(self) -> None:
        self.failing = self.refused = False
        self._outage.end(self)

    def _failed(self, error: RedisUnavailable) -> None:
        if isinstance(self._state, Stuck):
            self._state = Stuck(0)  # the other processes could not write either
        # The listener reports a lost Redis.
        if error.refused or (self.failing and self._live.live):
            self._outage.begin(self, error)
        self.failing, self.refused = True, error.refused
