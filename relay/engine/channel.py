"""One channel of this process, from its messages to its streams."""

import asyncio
import time
from collections.abc import Callable

from relay import tasks
from relay.broker.commands import Commands
from relay.broker.keys import Keys
from relay.broker.outage import Outage
from relay.broker.subscription import Names
from relay.conf import Settings
from relay.conf.catalogue import Target
from relay.feed.fanout import Fanout, Loop
from relay.feed.feed import Feed
from relay.feed.ring import Ring
from relay.history.history import History
from relay.history.journal import Journal
from relay.history.redis_stream import RedisStream
from relay.replay.arrivals import Arrivals
from relay.source.epochs import Epochs
from relay.source.intake import Intake
from relay.stats import Stats


class Channel:
    """Puts the parts together. `name` is that of a Redis channel, or a pattern.

    `on_new(channel)` is called when there is something new to send.
    """

    def __init__(
        self,
        found: Target,
        settings: Settings,
        commands: Commands,
        loop: Loop,
        stats: Stats,
        trouble: Outage,
        on_new: Callable[["Channel"], None],
    ) -> None:
        spec = found.spec
        self.name = found.name
        self.spec = spec
        self.keys = Keys.of(settings.prefix, found.name)
        self.names = (
            Names([self.keys.marker], [found.name])
            if found.is_wildcard
            else Names([found.name, self.keys.marker])
        )
        ring = Ring(settings.ring_events, settings.ring_bytes)
        self.feed = Feed(found.name, ring, spec.event_bytes, stats, envelope=spec.envelope)
        self.fanout = Fanout(self.feed, loop, settings.client_buffer_bytes, stats)
        self.label = spec.pattern
        self.epochs = Epochs(commands, self.keys)
        self.history: History | None = None
        self.journal: Journal | None = None
        if spec.history:
            self.history = RedisStream(commands, self.keys, spec.history_size, spec.history_seconds)
            self.journal = Journal(self.feed, self.history, spec.history_seconds, self, trouble)
        self.arrivals = Arrivals(
            self.feed, self.fanout, self.history, self.journal, lambda: self.live, stats
        )
        self.bringing = self.arrivals.bringing
        self.intake = Intake(self.feed, self._wake)
        self.parts: list[Fanout] = []
        """The fan-outs of streams of several channels that this one is among."""
        self.is_live: Callable[[], bool] = lambda: True
        """Whether this process is subscribed at all."""
        self.unused_since: float | None = None
        self._on_new = on_new
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self.fanout) + sum(len(fanout) for fanout in self.parts)

    @property
    def crowded(self) -> bool:
        """Whether more waits to be sent than should."""
        return self.fanout.crowded or any(fanout.crowded for fanout in self.parts)

    def start(self, supervise: Callable[..., asyncio.Task[None]]) -> None:
        """Begins to write the history."""
        if self.journal:
            self._task = supervise(self.journal.run(), f"journal of {self.name}")

    def on_live(self, alone: bool) -> None:
        """The subscription stands; `alone`: no other process has this channel."""
        if alone and self.journal:
            self.journal.begin()

    def beat(self) -> None:
        """A heartbeat on every stream."""
        if len(self.fanout):
            self.feed.heartbeat(time.time_ns() // 1_000_000)
            self.fanout.wake()
            self.bringing.beat()

    async def stop(self) -> None:
        """Writes what the history lacks, then forgets the channel; no stream may be open."""
        self.bringing.stop()
        if self.journal:
            await self.journal.flush()
        if self._task:
            await tasks.end([self._task])

    @property
    def live(self) -> bool:
        """Whether what is published reaches the feed now."""
        return self.is_live() and not self.intake.filling

    def _wake(self) -> None:
        for fanout in (self.fanout, *self.parts):
            fanout.wake()
        if self.journal:
            self.journal.wake()
        self._on_new(self)
