"""Writes what this process has heard into the history, unless another process does."""

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

GRACE_SECONDS = 1.5
"""How long to wait for a process that knows what precedes our run; then the run is appended as a break.

Only a marker can leave a process behind, and hasty watchers look three times in this period.
"""

RETRY_SECONDS = 0.4

RUN_ENTRIES = 512
"""The most that is written at once; so many do not wait for more."""

FLUSH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Watching:
    """Another process writes; `due` is what it must have stored by the next look."""

    due: Position | None = None


@dataclass(frozen=True, slots=True)
class Writing:
    """This process writes."""


@dataclass(frozen=True, slots=True)
class Stuck(Writing):
    """This process writes, but since then the history lacks what precedes its run."""

    since: float


State = Watching | Writing | Stuck


class Journal:
    """Every process keeps one, and any of them may write: the history refuses what does not belong.

    To save Redis the work, a process writes only while no other does. A writer that finds its whole
    run stored already becomes a watcher. A watcher that finds what it heard a moment ago still
    missing becomes a writer. No live message waits for any of it.
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
        self._stored_to: Position | None = None  # up to here the history has what this process has
        self._alone = False  # no other process has what this one has not written yet
        self.failing = False
        """The last attempt to write or look failed."""
        self.wake = self._pacer.wake
        """Something was heard."""

    @property
    def behind(self) -> bool:
        """Whether this process has heard something that it does not know to be stored."""
        return self._stored_to != self._timeline.position

    @property
    def writing(self) -> bool:
        return isinstance(self._state, Writing)

    def begin(self) -> None:
        """No other process is there: write at once, there is no writer to wait for."""
        self._write_from_now()
        self._alone = True
        self._pacer.signal()

    async def run(self) -> None:
        """Writes and watches until it is cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._wait()
                try:
                    while self.behind and await self.step(loop.time()):
                        pass
                    if self._pacer.is_trim_due(loop.time()):
                        await self._history.trim()
                    if not self.behind:  # a writer that is stuck has stored nothing
                        self._succeeded()
                except RedisUnavailable as error:
                    self._failed(error)
                    await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1.5))
        finally:
            self._outage.end(self)

    async def flush(self) -> None:
        """Writes what was heard until now; for when the process stops. Gives up after a second."""
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
        """One exchange with the history; returns whether there is more to do at once."""
        if isinstance(self._state, Watching):
            await self._look(self._state)
            return self.writing
        return await self._write(now)

    async def _wait(self) -> None:
        """Until there is something to do: news, a look at what another process writes, a trim."""
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
            self._stored_to = newest
        if not isinstance(self._state, Watching):
            return  # a writer by now
        overdue = state.due is not None and (newest is None or newest < state.due)
        self._state = Writing() if overdue else Watching(self._timeline.position)

    # -- this process writes

    async def _write(self, now: float) -> bool:
        run = run_after(self._timeline, self._stored_to, RUN_ENTRIES)
        if run is None:
            self._stored_to = self._timeline.position
            return False
        result = await self._history.append(run, force=self._may_break(now))
        if result.newest is not None and result.newest >= run.last:
            self._note_stored(run.last, result, now)
            return self.behind
        return self._go_back(run, result.newest, now)

    def _may_break(self, now: float) -> bool:
        """Whether the run is appended although what precedes it is missing."""
        state = self._state
        return isinstance(state, Stuck) and (self._alone or now - state.since >= GRACE_SECONDS)

    def _note_stored(self, last: Position, result: Appended, now: float) -> None:
        """The history has the run, by whatever process."""
        newest = result.newest
        self._stored_to = newest if newest is not None and self._timeline.knows(newest) else last
        self._state = Writing() if result.number else Watching()
        if result.number:
            self._pacer.wrote(now)
        self._alone = self._alone and self.behind

    def _go_back(self, run: Run, newest: Position | None, now: float) -> bool:
        """The history lacks what precedes `run`: write that first, where this process has it."""
        if newest is not None and newest != self._stored_to and self._timeline.knows(newest):
            self._stored_to = newest
            return True
        if newest is None and self._stored_to is not None:
            self._stored_to = None  # the history is lost: write again all that there is
            return True
        if not isinstance(self._state, Stuck):
            self._state = Stuck(now)
        return self._alone

    # -- what the operator is told

    def _succeeded(self) -> None:
        self.failing = False
        self._outage.end(self)

    def _failed(self, error: RedisUnavailable) -> None:
        # The listener reports that Redis is away.
        if error.refused or (self.failing and self._live.live):
            self._outage.begin(self, error)
        self.failing = True
