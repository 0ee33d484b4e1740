"""Replays the entries of a stream that follow a client's position, until the ring has the rest."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from relay.broker.errors import RedisUnavailable
from relay.feed.context import Context
from relay.feed.ring import Place
from relay.feed.start import After, Live, Rewind, Since, Start
from relay.feed.stored_feed import StoredFeed
from relay.history.extracts import Extracts
from relay.history.stored_stream import START, Extract, StoredStream
from relay.replay.pieces import Origin, Piece, Rest, tell
from relay.stats import Stats
from relay.wire.notices import Gap, GapReason
from relay.wire.position import Position

POLL_SECONDS = 0.05
"""How often a client looks that waits for the feed, which is a little behind Redis."""

RETRY_SECONDS = 0.5
"""How often it tries again while Redis does not answer."""

REWIND_ENTRIES = 10_000
"""How far a client may go back by a number where the entry of the catalogue has no `history_size`."""


class StoredReplay:
    """Replays the past to the clients of one stream channel; keeps no state per client."""

    def __init__(
        self, feed: StoredFeed, stream: StoredStream, context: Context, history_size: int
    ) -> None:
        self._feed = feed
        self._timeline = feed.timeline
        self._stream = stream
        self._extracts = Extracts(stream, feed.encoder, context.stats)
        self._stats: Stats = context.stats
        self._rewind_entries = history_size or REWIND_ENTRIES

    def in_ring(self, start: Start) -> Place | None:
        """Returns the place where `start` begins; None unless the ring has everything after it."""
        timeline = self._timeline
        match start:
            case Live():
                return timeline.ring.end_place
            case After(position):
                return timeline.find(position) if position else None
            case Since(time_ms):
                return timeline.find(_before(time_ms))
            case Rewind(number):
                return self._rewound(number)

    async def begin(self, start: Start, arrival_position: Position | None) -> Origin:
        """Returns where `start` begins. `arrival_position` is the feed's when the client arrived."""
        position = arrival_position
        if position is None:
            await self._feed.marked.wait()
            position = self._timeline.first_position
            assert position is not None
        match start:
            case Live():
                return Origin(position, None)
            case After(None):
                return self._told(position, GapReason.UNKNOWN_ID)
            case After(after):
                return Origin(after or position, None)
            case Rewind() | Since():
                return await self._past(start, position)

    async def after(self, position: Position) -> AsyncGenerator[Sequence[Piece] | Rest, None]:
        """Yields every message after `position`, then one Rest.

        It does not await after it has found the place of the Rest.
        """
        while (place := self._timeline.find(position)) is None:
            try:
                extract, events = await self._extracts.after(position)
            except RedisUnavailable as error:
                if error.refused:
                    yield self._give_up(position)
                    return
                await asyncio.sleep(RETRY_SECONDS)
                continue
            end = extract.end or extract.last
            if extract.kind != "stream" and position != START:
                yield self._unknown(position)
                return
            pieces = self._pieces(position, extract, events)
            if pieces:
                yield pieces
            if end == position:
                await asyncio.sleep(
                    POLL_SECONDS
                )  # Redis has no more, and the feed is about to have it
            position = end
        yield Rest(place, None)

    # -- where a stream begins

    def _rewound(self, number: int | None) -> Place | None:
        ring, count = self._timeline.ring, self._timeline.count
        if number is None or count - number < ring.dropped:
            return None
        return Place(ring.index_after(count - number) or ring.start, count - number)

    async def _past(self, start: Rewind | Since, now: Position) -> Origin:
        place = self.in_ring(start)
        if place is not None:
            return Origin(self._timeline.position_at(place) or now, None)
        while True:
            try:
                if isinstance(start, Since):
                    return await self._since(start.time_ms)
                return await self._rewind(start.number)
            except RedisUnavailable as error:
                if error.refused:
                    return self._told(now, GapReason.HISTORY_UNAVAILABLE)
                await asyncio.sleep(RETRY_SECONDS)

    async def _rewind(self, number: int | None) -> Origin:
        extract = await self._stream.read(START, 1, 1)
        if number is not None and extract.first is not None:
            found = await self._stream.rewind(min(number, self._rewind_entries))
            return Origin(found or extract.last, None)
        # What is added to an empty stream from here on is not skipped.
        return Origin(extract.first.predecessor if extract.first else extract.last, None)

    async def _since(self, time_ms: int) -> Origin:
        before = _before(time_ms)
        extract = await self._stream.read(before, 1, 1)
        if extract.last <= before:  # nothing was added since
            return Origin(extract.last, None)
        if extract.older or extract.added == extract.length:
            return Origin(before if extract.older else START, None)
        first = extract.first
        return self._told(first.predecessor if first else extract.last, GapReason.EXPIRED)

    # -- what it sends

    def _pieces(
        self, position: Position, extract: Extract, events: Sequence[tuple[Position, bytes]]
    ) -> list[Piece]:
        if position > extract.last:  # the stream has never had it, or was replaced
            return [self._gap(position, extract.last, None, GapReason.UNKNOWN_ID)]
        pieces = []
        missed = extract.missing(position, None)
        first = extract.first
        end = first.predecessor if first else extract.last
        if missed is None:
            missed = self._timeline.distance(position, end)
        if missed != 0:
            pieces.append(self._gap(position, end, missed, GapReason.EXPIRED))
        pieces += [Piece(*event) for event in events]
        self._stats.replayed_messages += len(events)
        return pieces

    def _unknown(self, position: Position) -> Rest:
        """Returns the end of the ring, with a gap: nobody knows what followed the position."""
        place = self._timeline.ring.end_place
        return Rest(place, self._gap(position, self._timeline.position, None, GapReason.UNKNOWN_ID))

    def _give_up(self, position: Position) -> Rest:
        """Returns a place in the ring to continue from, with a gap: Redis denies the rest."""
        place = self._timeline.place_beyond(position)
        missed = self._timeline.missed_since(position, place)
        end = self._timeline.position_at(place)
        return Rest(place, self._gap(position, end, missed, GapReason.HISTORY_UNAVAILABLE))

    def _told(self, position: Position, reason: GapReason) -> Origin:
        return Origin(position, self._gap(None, position, None, reason))

    def _gap(
        self, start: Position | None, end: Position | None, missed: int | None, reason: GapReason
    ) -> Piece:
        return tell(Gap(self._feed.channel, start, end, missed, reason), self._stats)


def _before(time_ms: int) -> Position:
    """Returns the greatest id before a time."""
    return Position(time_ms, 0).predecessor if time_ms else START
