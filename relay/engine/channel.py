"""One channel of this process, from its messages to its streams."""

from collections.abc import Mapping
from contextlib import suppress

from relay.broker.errors import RedisUnavailable
from relay.broker.keys import Keys
from relay.broker.names import Names
from relay.broker.outage import Outage
from relay.conf.catalogue import Target
from relay.engine.delivery import Delivery
from relay.feed.context import Context
from relay.feed.encoder import Encoder
from relay.feed.fanout import Fanout
from relay.feed.feed import Feed
from relay.feed.ring import Place, Ring
from relay.feed.start import Start
from relay.feed.subscriber import Subscriber
from relay.feed.writer import Writer
from relay.history.history import History
from relay.history.journal import Journal
from relay.history.page_cache import PageCache
from relay.history.past import Past
from relay.history.redis_stream import RedisStream
from relay.replay.arrivals import Arrivals
from relay.replay.replay import Replay
from relay.source.epochs import Epochs, Opened
from relay.source.intake import Intake


class Channel(Delivery):
    """Assembles the parts of one channel. `name` is that of a Redis channel, or a pattern."""

    def __init__(self, target: Target, context: Context, outage: Outage) -> None:
        settings, stats, spec = context.settings, context.stats, target.spec
        self.name = target.name
        self.spec = spec
        self.keys = Keys.of(settings.prefix, target.name)
        self._target = target
        self._sharded = settings.sharded
        encoder = Encoder(target.name, spec.event_bytes, stats, envelope=spec.envelope)
        ring_bytes = min(spec.ring_bytes or settings.ring_bytes, settings.ring_bytes)
        ring = Ring(settings.ring_events, ring_bytes)
        self.feed = Feed(target.name, ring, encoder, stats)
        self.intake = Intake(self.feed, context.link, context.clock)
        self.label = spec.pattern
        self.epochs = Epochs(context.broker, self.keys, settings.publish_command)
        past = self._past(context, outage) if spec.history else None
        self.past = past
        self.history: History | None = past.history if past else None
        self.journal = past.journal if past else None
        self.replay = Replay(self.feed, past, self.intake, context)
        fanout = Fanout(self.feed, context)
        self._arrivals = Arrivals(self.feed, self.replay, fanout, stats)
        super().__init__(self.feed, fanout, self._arrivals.catching_up, context.clock)

    @property
    def key(self) -> str:
        """The key that decides which server is the channel's master."""
        return self.keys.history

    def names(self, node: str) -> Names:
        """Returns what to subscribe to at a master; `node` is its id in a cluster, else empty."""
        marker = self.keys.marker(node)
        if self._target.is_wildcard:
            return Names([marker], [self.name])
        names = [self.name, marker]
        return Names(shard_channels=names) if self._sharded else Names(names)

    def _past(self, context: Context, outage: Outage) -> Past:
        spec = self.spec
        history: History = RedisStream(
            context.broker.commands,
            self.keys,
            spec.history_size,
            spec.history_seconds,
            context.stats,
        )
        journal = Journal(self.feed.timeline, history, spec.history_seconds, self.intake, outage)
        self.feed.readers.add(journal)
        return Past(history, PageCache(history, context.stats), journal)

    def _position(self, place: Place) -> str:
        position = self.feed.timeline.position_at(place)
        return "" if position is None else str(position)

    def join(self, writer: Writer, starts: Mapping[str, Start]) -> Subscriber:
        return self._arrivals.join(writer, starts[self.name])

    def on_live(self, opened: Opened | None) -> None:
        """Called when the channel is live. `opened` is the epoch that this process opened, if it has."""
        if self.journal is None or opened is None:
            return
        if opened.alone:
            self.journal.begin()
        else:
            self.journal.join(first=opened.first)

    async def run(self) -> None:
        """Writes the history until cancelled."""
        if self.journal:
            await self.journal.run()

    async def flush(self) -> None:
        """Writes what the history lacks, before the process stops or leaves the channel."""
        self._catching_up.stop()
        if self.journal:
            await self.journal.flush()

    async def end(self) -> None:
        """Writes what the history lacks, for when the process leaves the channel."""
        await self.flush()
        if not self.spec.always:
            with suppress(RedisUnavailable):
                await self.epochs.leave()
