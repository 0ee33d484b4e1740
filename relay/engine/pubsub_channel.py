"""One channel of pub/sub in this process, from its messages to its streams."""

from contextlib import suppress

from relay.broker.errors import RedisUnavailable
from relay.broker.keys import Keys
from relay.broker.names import Names
from relay.broker.outage import Outage
from relay.conf.catalogue import Spec, Target
from relay.engine.channel import Channel
from relay.feed.context import Context
from relay.feed.encoder import Encoder
from relay.feed.feed import Feed
from relay.feed.ring import Ring
from relay.history.history import History
from relay.history.journal import Journal
from relay.history.page_cache import PageCache
from relay.history.past import Past
from relay.history.redis_stream import RedisStream
from relay.replay.replay import Replay
from relay.source.epochs import Epochs, Opened
from relay.source.intake import Intake


class PubSubChannel(Channel):
    """Assembles the parts of one channel. `name` is that of a Redis channel, or a pattern."""

    feed: Feed

    def __init__(self, target: Target, context: Context, outage: Outage) -> None:
        settings, stats, spec = context.settings, context.stats, target.spec
        self.keys = Keys.of(settings.prefix, target.name)
        self._target = target
        self._sharded = settings.sharded
        encoder = Encoder(target.name, spec.event_bytes, stats, envelope=spec.envelope)
        ring_bytes = min(spec.ring_bytes or settings.ring_bytes, settings.ring_bytes)
        ring = Ring(settings.ring_events, ring_bytes)
        feed = Feed(target.name, ring, encoder, stats)
        self.intake = Intake(feed, context.link, context.clock)
        self.epochs = Epochs(context.broker, self.keys, settings.publish_command)
        past = self._past(feed, spec, context, outage) if spec.history else None
        self.past = past
        self.history: History | None = past.history if past else None
        self.journal = past.journal if past else None
        replay = Replay(feed, past, self.intake, context)
        super().__init__(target, feed, replay, context)

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

    @property
    def history_state(self) -> str:
        if self.journal is None:
            return "off"
        if self.journal.failing:
            return "failing"
        return "writing" if self.journal.writing else "watching"

    @property
    def pending(self) -> int:
        return self.journal.pending if self.journal else 0

    async def kept(self) -> int:
        return await self.history.length() if self.history else 0

    def _past(self, feed: Feed, spec: Spec, context: Context, outage: Outage) -> Past:
        bounds = spec.history_size, spec.history_seconds
        history: History = RedisStream(
            context.broker.commands, self.keys, *bounds, stats=context.stats
        )
        journal = Journal(feed.timeline, history, spec.history_seconds, self.intake, outage)
        feed.readers.add(journal)
        return Past(history, PageCache(history, context.stats), journal)

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
        await super().flush()
        if self.journal:
            await self.journal.flush()

    async def end(self) -> None:
        """Writes what the history lacks, for when the process leaves the channel."""
        await self.flush()
        if not self.spec.always:
            with suppress(RedisUnavailable):
                await self.epochs.leave()
