"""Replays what follows a client's position, until the ring has the rest."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from relay.broker.errors import RedisUnavailable
from relay.broker.link import Live
from relay.feed.context import Context
from relay.feed.entries import Entry
from relay.feed.feed import Feed
from relay.feed.ring import Place
from relay.feed.start import Start
from relay.history.past import Past
from relay.replay.gaps import gap_before
from relay.replay.locate import Locator
from relay.replay.pieces import Origin, Piece, Rest, tell
from relay.wire.notices import Gap, GapReason
from relay.wire.position import Position

WAIT_SECONDS = 3.0
"""How long a client waits for the journal to write up to the client's position."""

AHEAD_SECONDS = 6.0
"""How long a client waits for a feed that is behind it: longer than a lost connection goes unnoticed."""

POLL_SECONDS = 0.05


class Replay:
    """Replays the past to the clients of one feed; keeps no state per client.

    `past` is None without a history.
    """

    def __init__(self, feed: Feed, past: Past | None, live: Live, context: Context) -> None:
        self._feed = feed
        self._timeline = feed.timeline
        self._past = past
        self._live = live
        self._stats = context.stats
        self._locator = Locator(feed, past, live)

    def in_ring(self, start: Start) -> Place | None:
        """Returns the place where `start` begins; None unless the ring has everything after it."""
        return self._locator.in_ring(start)

    async def begin(self, start: Start, arrival_position: Position | None) -> Origin:
        """Returns where `start` begins. `arrival_position` is the feed's when the client arrived."""
        position, reason = await self._locator.begin(start, arrival_position)
        return Origin(position, self._gap(None, position, None, reason) if reason else None)

    async def after(self, position: Position) -> AsyncGenerator[Sequence[Piece] | Rest, None]:
        """Yields every message after `position`, then one Rest.

        It does not await after it has found the place of the Rest.
        """
        polls = 0  # counted, not timed: a process that was suspended has yet to receive its backlog
        while (place := self._timeline.find(position)) is None:
            entries = await self._entries(position)
            if entries:
                pieces = self._pieces(position, entries)
                position = entries[-1].position
                if pieces:  # empty when there were only boundaries
                    yield pieces
                polls = 0
            elif not self._live.live:
                polls = 0
                await asyncio.sleep(POLL_SECONDS)
            elif self._may_come(position) and polls * POLL_SECONDS < self._patience(position):
                polls += 1
                await asyncio.sleep(POLL_SECONDS)
            elif self._timeline.find(position) is None:
                yield self._give_up(position)
                return
        yield Rest(place, None)

    async def _entries(self, position: Position) -> Sequence[Entry]:
        if self._past is None or self._is_ahead(position):
            return []
        try:
            return await self._past.pages.after(position)
        except RedisUnavailable:
            return []

    def _may_come(self, position: Position) -> bool:
        """Whether to wait: the feed has yet to reach the client, or the journal has yet to write.

        A journal that got no answer just now may write again in a moment.
        """
        return self._is_ahead(position) or (self._past is not None and not self._past.refused)

    def _patience(self, position: Position) -> float:
        return AHEAD_SECONDS if self._is_ahead(position) else WAIT_SECONDS

    def _is_ahead(self, position: Position) -> bool:
        newest = self._timeline.position
        return newest is not None and position > newest

    @property
    def _without_history(self) -> bool:
        return self._past is None or self._past.failing

    def _pieces(self, position: Position, entries: Sequence[Entry]) -> list[Piece]:
        pieces = []
        for entry in entries:
            at, event = entry.position, entry.event
            if event is None or at.offset != position.offset + 1 or at.epoch != position.epoch:
                gap = gap_before(self._feed.channel, position, entry)
                if gap:
                    pieces.append(tell(gap, self._stats))
            if event is not None:
                pieces.append(Piece(at, event, entry.source))
                self._stats.replayed_messages += 1
            position = at
        return pieces

    def _give_up(self, position: Position) -> Rest:
        """Returns a place in the ring to continue from, with a gap for everything before it."""
        newest = self._timeline.position
        if newest is None or position > newest:
            place, reason = self._timeline.ring.end_place, GapReason.UNKNOWN_ID
        else:
            place, reason = self._timeline.place_beyond(position), GapReason.EXPIRED
            if self._without_history:
                reason = GapReason.HISTORY_UNAVAILABLE
        missed = self._timeline.missed_since(position, place)
        return Rest(place, self._gap(position, self._timeline.position_at(place), missed, reason))

    def _gap(
        self,
        start: Position | None,
        end: Position | None,
        missed: int | None,
        reason: GapReason,
    ) -> Piece:
        return tell(Gap(self._feed.channel, start, end, missed, reason), self._stats)
