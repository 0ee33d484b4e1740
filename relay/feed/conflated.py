"""State instead of history: only the newest event of each channel and interval."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from relay.clock import Clock
from relay.feed.channel_feed import ChannelFeed, FeedEvent
from relay.feed.combined import CombinedFeed, Withholds
from relay.feed.ring import Kind, Place, Ring
from relay.feed.start import After, Start

LOOK_BACK = 256
"""How many of a wildcard's newest messages are searched for one that is not withheld."""


class ConflatedFeed(CombinedFeed):
    """Sends at most one event of each channel per interval. An event that is left out is no gap."""

    def __init__(
        self,
        feeds: Sequence[ChannelFeed],
        ring: Ring,
        withholds: Withholds,
        seconds: float,
        clock: Clock,
    ) -> None:
        super().__init__(feeds, ring, withholds)
        self._seconds = seconds
        self._clock = clock
        self._due: dict[ChannelFeed, float] = {}
        self._waiting: dict[ChannelFeed, FeedEvent] = {}

    def eviction_notice(self, place: Place, before: Any) -> bytes:
        """Returns nothing: a slow client gets the newest events when it reads again."""
        return b""

    def newest(self, starts: Mapping[str, Start]) -> bytes:
        """Returns the newest event of each channel, unless the client's start says it has it."""
        parts = []
        for feed in self.feeds:
            position, start = feed.timeline.position, starts[feed.channel]
            received = self._newest_of(feed)
            if position and received and start != After(position):
                parts.append(
                    self.numbered(feed, position, received.event, self.positions, received.source)
                )
        return b"".join(parts)

    def _newest_of(self, feed: ChannelFeed) -> FeedEvent | None:
        messages = islice(feed.newest_messages(), LOOK_BACK)
        return next((each for each in messages if not self.withheld(feed, each.source)), None)

    def _take(self, feed: ChannelFeed, received: FeedEvent) -> None:
        if received.kind is Kind.GAP:
            return
        now = self._clock.time()
        if feed in self._waiting:
            self._waiting[feed] = received
        elif now >= self._due.get(feed, 0.0):
            self._due[feed] = now + self._seconds
            super()._take(feed, received)
        else:
            self._waiting[feed] = received
            self._clock.call_at(self._due[feed], self._emit, feed)

    def _emit(self, feed: ChannelFeed) -> None:
        received = self._waiting.pop(feed)
        self._due[feed] = self._clock.time() + self._seconds
        super()._take(feed, received)
        self.readers.wake()
