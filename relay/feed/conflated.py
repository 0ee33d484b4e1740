"""State instead of history: of everything a channel says within an interval, only the newest."""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Protocol

from relay.feed.combined import CombinedFeed, Withholds
from relay.feed.feed import Feed
from relay.feed.ring import Place, Ring
from relay.feed.start import After, Start
from relay.wire.position import Position

LOOK_BACK = 256
"""How many of the newest messages of a wildcard are looked at for one that is not withheld."""


class Clock(Protocol):
    """What this needs of an event loop."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[..., object], *args: object) -> object: ...


class ConflatedFeed(CombinedFeed):
    """At most one event of each channel in `seconds`. What is left out is no gap."""

    def __init__(
        self,
        feeds: Sequence[Feed],
        ring: Ring,
        withholds: Withholds,
        seconds: float,
        clock: Clock,
        on_new: Callable[[], None],
    ) -> None:
        super().__init__(feeds, ring, withholds)
        self._seconds = seconds
        self._clock = clock
        self._on_new = on_new
        self._due: dict[Feed, float] = {}
        self._waiting: dict[Feed, tuple[Position, bytes, int]] = {}

    def fallen(self, place: Place, bookmark: object) -> bytes:
        """Nothing: a slow client gets what is the newest when it reads again."""
        return b""

    def newest(self, starts: Mapping[str, Start]) -> bytes:
        """The newest event of each channel that a new client does not have yet."""
        parts = []
        for feed in self.feeds:
            position, start = feed.position, starts[feed.channel]
            event = self._newest_of(feed)
            if position and event and start != After(position):
                parts.append(self._number(feed, position, self.positions, event))
        return b"".join(parts)

    def _newest_of(self, feed: Feed) -> bytes:
        events = islice(feed.newest_events(), LOOK_BACK)
        return next((event for event in events if not self._is_withheld(feed, event)), b"")

    def _take(self, feed: Feed, position: Position, event: bytes, time_ms: int) -> None:
        if event.startswith(b"event: hub.gap\n"):
            return
        now = self._clock.time()
        if feed in self._waiting:
            self._waiting[feed] = (position, event, time_ms)
        elif now >= self._due.get(feed, 0.0):
            self._due[feed] = now + self._seconds
            super()._take(feed, position, event, time_ms)
        else:
            self._waiting[feed] = (position, event, time_ms)
            self._clock.call_at(self._due[feed], self._emit, feed)

    def _emit(self, feed: Feed) -> None:
        position, event, time_ms = self._waiting.pop(feed)
        self._due[feed] = self._clock.time() + self._seconds
        super()._take(feed, position, event, time_ms)
        self._on_new()
