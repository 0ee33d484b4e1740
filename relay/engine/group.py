"""Several channels that clients requested together."""

from collections.abc import Mapping, Sequence

from relay.engine.channel import Channel
from relay.engine.delivery import Delivery
from relay.feed.combined import CombinedFeed, Withholds
from relay.feed.conflated import ConflatedFeed
from relay.feed.context import Context
from relay.feed.fanout import Fanout
from relay.feed.ring import Ring
from relay.feed.start import Start
from relay.feed.subscriber import Subscriber
from relay.feed.writer import Writer
from relay.replay.combined import CombinedArrivals


class Group(Delivery):
    """Opened by the first client that requests exactly these channels, and closed after the last."""

    def __init__(
        self,
        channels: Sequence[Channel],
        ring: Ring,
        context: Context,
        withholds: Withholds,
        latest_seconds: float | None,
    ) -> None:
        self.channels = channels
        self.key = frozenset(channel.name for channel in channels), latest_seconds
        feeds = [channel.feed for channel in channels]
        self._combined = (
            CombinedFeed(feeds, ring, withholds)
            if latest_seconds is None
            else ConflatedFeed(feeds, ring, withholds, latest_seconds, context.clock)
        )
        fanout = Fanout(self._combined, context)
        for feed in feeds:
            feed.readers.add(fanout)
        replays = {channel.feed: channel.replay for channel in channels}
        self._arrivals = CombinedArrivals(self._combined, replays, fanout, context.stats)
        super().__init__(self._combined, fanout, self._arrivals.catching_up, context.clock)

    def join(self, writer: Writer, starts: Mapping[str, Start]) -> Subscriber:
        return self._arrivals.join(writer, starts)

    def close(self) -> None:
        """Detaches the group from its channels. No stream may be open."""
        self._catching_up.stop()
        self._combined.close()
        for channel in self.channels:
            channel.feed.readers.remove(self._fanout)
