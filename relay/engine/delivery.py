"""The common interface of a channel and a group: a stream joins either of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

from relay.clock import Clock
from relay.feed.fanout import Fanout
from relay.feed.ring import Place
from relay.feed.source import Source
from relay.feed.start import Start
from relay.feed.subscriber import Subscriber
from relay.feed.writer import Writer
from relay.replay.catching_up import CatchingUp


class Load(NamedTuple):
    """The streams of a delivery by state, and its ring."""

    live: int
    """Streams that have everything."""
    behind: int
    """Streams that wait for their client to read."""
    replaying: int
    """Streams that are sent the past."""
    ring_events: int
    ring_bytes: int
    ring_fill: float
    """From 0 to 1, by the bound that is nearer."""


class Standing(NamedTuple):
    """How far one stream is."""

    state: str
    """`live`, `behind` or `replaying`."""
    position: str
    """The newest message that it was sent; empty if there is none, or there are several channels."""
    lag: int | None
    """As `Delivery.lag`."""


class Delivery(ABC):
    """A source, the fan-out of its streams, and the streams that are not live yet."""

    def __init__(
        self, source: Source, fanout: Fanout, catching_up: CatchingUp, clock: Clock
    ) -> None:
        self._source = source
        self._fanout = fanout
        self._catching_up = catching_up
        self._clock = clock

    def __len__(self) -> int:
        """The number of streams."""
        return len(self._fanout)

    @property
    def load(self) -> Load:
        live, others = self._fanout.sizes
        replaying = len(self._catching_up) if others else 0
        return Load(live, others - replaying, replaying, *self._source.ring.usage)

    def lag(self, subscriber: Subscriber) -> int | None:
        """Returns the number of messages that a stream was not sent yet; None while it is sent the past."""
        if subscriber.held:
            return None
        ring = self._source.ring
        return max(ring.count_at(ring.end) - subscriber.seen, 0)

    def standing(self, subscriber: Subscriber) -> Standing:
        """Returns how far a stream of this delivery is."""
        lag = self.lag(subscriber)
        if lag is None:
            return Standing("replaying", "", None)
        state = "live" if subscriber.current else "behind"
        return Standing(state, self._position(Place(subscriber.cursor, subscriber.seen)), lag)

    def _position(self, place: Place) -> str:
        """Returns the position of a stream at a place, where there is one channel."""
        return ""

    @abstractmethod
    def join(self, writer: Writer, starts: Mapping[str, Start]) -> Subscriber:
        """Sends everything from the start of each channel on, then each new message, to `writer`."""

    def leave(self, subscriber: Subscriber) -> None:
        """Removes a stream, live or not. May be called repeatedly."""
        self._catching_up.end(subscriber)
        self._fanout.leave(subscriber)

    def heartbeat(self, comment: bytes) -> None:
        """Sends a heartbeat on every stream; `comment` begins it."""
        if len(self._fanout):
            self._source.heartbeat(self._clock.now_ms(), comment)
            self._fanout.wake()
            self._catching_up.heartbeat(comment)

    def finish(self, last: Callable[[], bytes]) -> None:
        """Ends every stream properly; `last` makes the last frame of each."""
        self._catching_up.stop()
        self._fanout.finish(last)
