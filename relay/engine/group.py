"""Several channels that clients asked for together."""

import time
from collections.abc import Sequence

from relay.engine.channel import Channel
from relay.feed.combined import CombinedFeed, Withholds
from relay.feed.conflated import ConflatedFeed
from relay.feed.fanout import Fanout, Loop
from relay.feed.ring import Ring
from relay.replay.combined import CombinedArrivals
from relay.stats import Stats


class Group:
    """Made when the first client asks for just these channels, and dropped with the last."""

    def __init__(
        self,
        channels: Sequence[Channel],
        ring: Ring,
        loop: Loop,
        chunk_bytes: int,
        stats: Stats,
        withholds: Withholds,
        latest_seconds: float | None,
    ) -> None:
        self.channels = channels
        self.latest_seconds = latest_seconds
        feeds = [channel.feed for channel in channels]
        self.composite = (
            CombinedFeed(feeds, ring, withholds)
            if latest_seconds is None
            else ConflatedFeed(
                feeds, ring, withholds, latest_seconds, loop, lambda: self.fanout.wake()
            )
        )
        self.fanout = Fanout(self.composite, loop, chunk_bytes, stats)
        arrivals = {channel.feed: channel.arrivals for channel in channels}
        self.multiple = CombinedArrivals(self.composite, self.fanout, arrivals)
        self.bringing = self.multiple.bringing
        for channel in channels:
            channel.parts.append(self.fanout)

    def close(self) -> None:
        """Forgets the group; no stream may be open."""
        self.bringing.stop()
        self.composite.close()
        for channel in self.channels:
            channel.parts.remove(self.fanout)

    def beat(self) -> None:
        """A heartbeat on every stream."""
        self.composite.heartbeat(time.time_ns() // 1_000_000)
        self.fanout.wake()
        self.bringing.beat()
