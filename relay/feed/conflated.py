"""State instead of history: of everything a channel says within an interval, only the newest."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from relay.clock import Clock
from relay.feed.combined import CombinedFeed, Withholds
from relay.feed.feed import Feed, Heard
from relay.feed.ring import Kind, Place, Ring
from relay.feed.start import After, Start

LOOK_BACK = 256
"""How many of the newest messages of a wildcard are looked at for one that is not withheld."""


class ConflatedFeed(CombinedFeed):
    """At most one event of each channel in `seconds`. An event that is left out is no gap."""

    def __init__(
        self,
        feeds: Sequence[Feed],
        ring: Ring,
        withholds: Withholds,
        seconds: float,
        clock: Clock,
    ) -> None:
        super().__init__(feeds, ring, withholds)
        self._seconds = seconds
        self._clock = clock
        self._due: dict[Feed, float] = {}
        self._waiting: dict[Feed, Heard] = {}

    def fallen(self, place: Place, before: Any) -> bytes:
        """Nothing: a slow client gets the newest events when it reads again."""
        return b""

    def newest(self, starts: Mapping[str, Start]) -> bytes:
        """The newest event of each channel that a new client does not have yet."""
        parts = []
        for feed in self.feeds:
            position, start = feed.timeline.position, starts[feed.channel]
            heard = self._newest_of(feed)
            if position and heard and start != After(position):
                parts.append(
                    self.numbered(feed, position, heard.event, self.positions, heard.source)
                )
        return b"".join(parts)

    def _newest_of(self, feed: Feed) -> Heard | None:
        messages = islice(feed.newest_messages(), LOOK_BACK)
        return next((each for each in messages if not self.withheld(feed, each.source)), None)

    def _take(self, feed: Feed, heard: Heard) -> None:
        if heard.kind is Kind.GAP:
            return
        now = self._clock.time()
        if feed in self._waiting:
            self._waiting[feed] = heard
        elif now >= self._due.get(feed, 0.0):
            self._due[feed] = now + self._seconds
            super()._take(feed, heard)
        else:
            self._waiting[feed] = heard
            self._clock.call_at(self._due[feed], self._emit, feed)

    def _emit(self, feed: Feed) -> None:
        heard = self._waiting.pop(feed)
        self._due[feed] = self._clock.time() + self._seconds
        super()._take(feed, heard)
        self.readers.wake()
