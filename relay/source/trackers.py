"""Has each stream channel read at the server that is its master, also when that becomes another one."""

import asyncio
import logging
from collections.abc import Iterable

from relay import tasks
from relay.broker.master import Master
from relay.feed.context import Context
from relay.flag import Flag
from relay.source.tracked import StoredChannel
from relay.source.tracker import Tracker

logger = logging.getLogger("relay")

PLACE_SECONDS, LOST_PLACE_SECONDS = 1.0, 0.1
"""How often it looks whether channels have another master, and how often while one cannot be read."""

FIXED_SECONDS = 3600.0
"""The same where there is one server."""


class Trackers:
    """One tracker for each master that has a stream channel of this process.

    The listeners ask which servers are the masters. A channel moves by reading on at its new one, after
    what is in its feed.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._topology = context.broker.topology
        self._trackers: dict[Master, Tracker] = {}
        self._running: dict[Tracker, asyncio.Task[None]] = {}
        self._holders: dict[StoredChannel, Tracker | None] = {}
        self._news = Flag()

    def add(self, channel: StoredChannel) -> None:
        """Begins delivery of the channel as soon as possible."""
        self._holders[channel] = None
        self._place([channel])
        self._news.set()

    def remove(self, channel: StoredChannel) -> None:
        """Ends delivery of the channel."""
        tracker = self._holders.pop(channel, None)
        if tracker is not None:
            tracker.remove(channel)

    async def run(self) -> None:
        """Reads until cancelled."""
        try:
            while True:
                self._news.clear()
                if not self._topology.fixed:
                    self._place(self._holders)
                self._start_and_close()
                await self._wait()
        except (Exception, asyncio.CancelledError):
            await tasks.end(self._running.values())
            self._running.clear()
            raise

    async def _wait(self) -> None:
        """Returns when it is time to look again. Raises what a tracker has raised, which is a bug."""
        news = asyncio.create_task(self._news.wait())
        try:
            done, _ = await asyncio.wait(
                [news, *self._running.values()],
                timeout=self._pause(),
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done - {news}:
                task.result()
        finally:
            news.cancel()

    def _pause(self) -> float:
        if self._topology.fixed:
            return FIXED_SECONDS
        lost = None in self._holders.values() or any(t.unsettled for t in self._trackers.values())
        return LOST_PLACE_SECONDS if lost or not self._topology.settled else PLACE_SECONDS

    def _place(self, channels: Iterable[StoredChannel]) -> None:
        """Gives each channel to the tracker of its master. Harmless where it has it already."""
        moved: dict[Tracker, int] = {}
        for channel in list(channels):
            master = self._topology.master(channel.key)
            if master is None:
                continue
            tracker, holder = self._tracker(master), self._holders[channel]
            if holder is tracker:
                continue
            if holder is not None:
                holder.remove(channel)
                moved[tracker] = moved.get(tracker, 0) + 1
            self._holders[channel] = tracker
            tracker.add(channel)
        for tracker, number in moved.items():
            name = tracker.master.name
            self._context.stats.redis_moves += 1
            logger.info("Redis %s: is the master now; %s stream channels move there.", name, number)

    def _tracker(self, master: Master) -> Tracker:
        tracker = self._trackers.get(master)
        if tracker is None:
            tracker = self._trackers[master] = Tracker(self._context, master)
        return tracker

    def _start_and_close(self) -> None:
        """Starts the trackers that have channels, and ends those that have none any more."""
        for master, tracker in list(self._trackers.items()):
            if not tracker.channels:
                del self._trackers[master]
                if (task := self._running.pop(tracker, None)) is not None:
                    tasks.cancel(task)
            elif tracker not in self._running:
                self._running[tracker] = asyncio.create_task(tracker.run())
