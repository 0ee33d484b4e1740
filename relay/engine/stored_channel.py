"""One stream channel of this process: the entries of a Redis Stream, to its streams."""

from relay.conf.catalogue import Target
from relay.engine.channel import Channel
from relay.feed.context import Context
from relay.feed.entry_encoder import EntryEncoder
from relay.feed.ring import Ring
from relay.feed.stored_feed import StoredFeed
from relay.history.stored_stream import StoredStream
from relay.replay.stored import StoredReplay


class StoredChannel(Channel):
    """Needs no history of its own: Redis keeps the entries and has given them their ids."""

    feed: StoredFeed

    def __init__(self, target: Target, context: Context) -> None:
        settings, stats, spec = context.settings, context.stats, target.spec
        encoder = EntryEncoder(target.name, spec.event_bytes, stats, named=spec.envelope)
        ring = Ring(settings.ring_events, settings.ring_bytes)
        feed = StoredFeed(target.name, ring, encoder, stats)
        self._stream = StoredStream(context.broker.commands, target.name)
        replay = StoredReplay(feed, self._stream, context, spec.history_size)
        super().__init__(target, feed, replay, context)

    @property
    def key(self) -> str:
        return self.name

    @property
    def history_state(self) -> str:
        return "source"

    async def kept(self) -> int:
        return await self._stream.length()
