"""Finds where a new stream of one channel begins: in the ring, in the history, or now."""

from typing import NamedTuple

from relay.broker.errors import RedisUnavailable
from relay.broker.link import Live as LiveLink
from relay.feed.feed import Feed
from relay.feed.ring import Place
from relay.feed.start import After, Live, Rewind, Since, Start
from relay.history.history import History
from relay.history.past import Past
from relay.wire.notices import GapReason
from relay.wire.position import Position, before


class Beginning(NamedTuple):
    """A stream begins after `at`; with a reason where messages before it are lost."""

    at: Position
    reason: GapReason | None


class Locator:
    """For the streams of one feed; `past` is None without a history."""

    def __init__(self, feed: Feed, past: Past | None, link: LiveLink) -> None:
        self._feed = feed
        self._ring = feed.ring
        self._timeline = feed.timeline
        self._history = past.history if past else None
        self._link = link

    def in_ring(self, start: Start) -> Place | None:
        """The place where `start` begins, if the ring has everything from there on."""
        match start:
            case Live():
                return self._ring.end_place
            case After(position):
                return self._timeline.find(position) if position else None
            case Rewind(number):
                return self._rewound(number)
            case Since(time_ms):
                index = self._ring.index_since(time_ms)
                return self._ring.place(index) if index > self._ring.start else None

    async def begin(self, start: Start, at: Position | None) -> Beginning:
        """Where `start` begins; `at` is where the feed was when the client came."""
        interrupted = self._link.interrupted
        if at is None:  # not subscribed yet: it gets everything from the first marker on
            await self._feed.marked.wait()
            at = self._timeline.first_position
            assert at is not None
        match start:
            case Live():
                return Beginning(at, GapReason.REDIS_LOST if interrupted else None)
            case After(None):
                return Beginning(at, GapReason.UNKNOWN_ID)
            case After(position):
                return Beginning(position or at, None)
            case Rewind() | Since():
                return await self._past(start, at)

    def _rewound(self, number: int | None) -> Place | None:
        if number is None or self._timeline.count - number < self._ring.dropped:
            return None
        count = self._timeline.count - number
        return Place(self._ring.index_after(count) or self._ring.start, count)

    async def _past(self, start: Rewind | Since, at: Position) -> Beginning:
        place, reason = self.in_ring(start), None
        if place is None:
            try:
                found = await self._in_history(start)
            except RedisUnavailable:
                found, reason = None, GapReason.HISTORY_UNAVAILABLE
            if found is not None:
                return found
            if self._history is None and isinstance(start, Since):
                reason = GapReason.HISTORY_UNAVAILABLE
            place = self._ring.place(self._ring.start)
        return Beginning(self._timeline.position_at(place) or at, reason)

    # -- in the history; these raise RedisUnavailable

    async def _in_history(self, start: Rewind | Since) -> Beginning | None:
        """None where there is no history, or the ring has more."""
        if self._history is None:
            return None
        if isinstance(start, Since):
            return await self._since(self._history, start.time_ms)
        at = await self._before_last(self._history, start.number)
        return Beginning(at, None) if at else None

    async def _before_last(self, history: History, number: int | None) -> Position | None:
        """The position before the last `number` messages, or before all."""
        newest = await history.newest()
        if newest is None:
            return None
        # What the ring has and the history does not yet have counts as well.
        ahead = self._timeline.missed_since(newest, self._ring.end_place) or 0
        first, found = await _first_of_last(history, number, ahead)
        if first is None or found + ahead <= self._timeline.count - self._ring.dropped:
            return None
        return before(first)

    async def _since(self, history: History, time_ms: int) -> Beginning | None:
        """The position before the first message since then."""
        first, reaches = await history.since(time_ms)
        if first is None:
            return None
        if reaches:
            return Beginning(before(first), None)
        return Beginning(before(first), GapReason.EXPIRED if first.offset else GapReason.UNHEARD)


async def _first_of_last(
    history: History, number: int | None, ahead: int
) -> tuple[Position | None, int]:
    if number is not None:
        return await history.rewind(max(number - ahead, 0))
    oldest = await history.read(Position(1, 0), 1, 1)
    return (oldest[0].position, await history.length()) if oldest else (None, 0)
