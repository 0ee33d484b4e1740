"""One channel of this process, wherever its messages come from."""

from abc import abstractmethod
from collections.abc import Mapping

from relay.conf.catalogue import Spec, Target
from relay.engine.delivery import Delivery
from relay.feed.channel_feed import ChannelFeed
from relay.feed.context import Context
from relay.feed.fanout import Fanout
from relay.feed.ring import Place
from relay.feed.start import Start
from relay.feed.subscriber import Subscriber
from relay.feed.writer import Writer
from relay.replay.arrivals import Arrivals
from relay.replay.pieces import Replaying


class Channel(Delivery):
    """The streams of one channel. `name` is that of the channel, or a pattern."""

    def __init__(
        self, target: Target, feed: ChannelFeed, replay: Replaying, context: Context
    ) -> None:
        self.name = target.name
        self.spec: Spec = target.spec
        self.label = target.spec.pattern
        """The channel's entry of the catalogue, which an error names."""
        self.feed = feed
        self.replay = replay
        fanout = Fanout(feed, context)
        self._arrivals = Arrivals(feed, replay, fanout, context.stats)
        super().__init__(feed, fanout, self._arrivals.catching_up, context.clock)

    @property
    @abstractmethod
    def key(self) -> str:
        """The key that decides which server is the channel's master."""

    @property
    @abstractmethod
    def history_state(self) -> str:
        """One of relay.metrics.table.HISTORY_STATES, or `off`."""

    @abstractmethod
    async def kept(self) -> int:
        """Returns the number of entries that Redis keeps. Raises RedisUnavailable."""

    @property
    def pending(self) -> int:
        """The number of received messages that this process does not know to be stored."""
        return 0

    def _position(self, place: Place) -> str:
        position = self.feed.timeline.position_at(place)
        return "" if position is None else str(position)

    def join(self, writer: Writer, starts: Mapping[str, Start]) -> Subscriber:
        return self._arrivals.join(writer, starts[self.name])

    async def flush(self) -> None:
        """Writes what the history lacks, before the process stops or leaves the channel."""
        self._catching_up.stop()

    async def end(self) -> None:
        """Called when the process leaves the channel."""
        await self.flush()
