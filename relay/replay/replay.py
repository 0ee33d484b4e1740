"""Reads, for a client, what follows the position it knows, until the ring has the rest."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

from relay.broker.errors import RedisUnavailable
from relay.broker.link import Live
from relay.feed.context import Context
from relay.feed.entries import Entry, missed_between
from relay.feed.feed import Feed
from relay.feed.ring import Place
from relay.feed.start import Start
from relay.history.past import Past
from relay.replay.locate import Locator, before
from relay.wire import sse
from relay.wire.notices import Gap, GapReason
from relay.wire.position import Position

WAIT_SECONDS = 3.0
"""How long a client waits for a history that has yet to be written up to where the client is."""

AHEAD_SECONDS = 6.0
"""How long it waits for a feed that looks live: more than a lost connection takes to be noticed."""

POLL_SECONDS = 0.05


class Piece(NamedTuple):
    """An event without its id. Only a gap may have no position, where none is known."""

    position: Position | None
    event: bytes
    source: bytes = b""


class Rest(NamedTuple):
    """Where in the ring everything else is, and a gap that comes first."""

    place: Place
    gap: Piece | None


class Origin(NamedTuple):
    """Where a client is before anything was sent to it, and a gap that comes first."""

    at: Position
    gap: Piece | None


class Replay:
    """The past of one feed, for any number of clients; `past` is None without a history."""

    def __init__(self, feed: Feed, past: Past | None, live: Live, context: Context) -> None:
        self._feed = feed
        self._timeline = feed.timeline
        self._past = past
        self._live = live
        self._stats = context.stats
        self._locator = Locator(feed, past, context.link)

    def in_ring(self, start: Start) -> Place | None:
        """The place where `start` begins, if the ring has everything from there on."""
        return self._locator.in_ring(start)

    async def begin(self, start: Start, arrival_position: Position | None) -> Origin:
        """Where `start` begins; `arrival_position` is where the feed was when the client came."""
        at, reason = await self._locator.begin(start, arrival_position)
        return Origin(at, self._gap(None, at, None, reason) if reason else None)

    async def after(self, at: Position) -> AsyncGenerator[Sequence[Piece] | Rest, None]:
        """Yields every message after `at`, then one Rest. It does not await after it found the place."""
        polls = 0  # counted, not timed: a process that was stopped has yet to hear what it missed
        while (place := self._timeline.find(at)) is None:
            entries = await self._entries(at)
            if entries:
                pieces = self._pieces(at, entries)
                at = entries[-1].position
                if pieces:  # not where there was nothing but boundaries
                    yield pieces
                polls = 0
            elif not self._live.live:
                polls = 0
                await asyncio.sleep(POLL_SECONDS)
            elif self._may_come(at) and polls * POLL_SECONDS < self._patience(at):
                polls += 1
                await asyncio.sleep(POLL_SECONDS)
            elif self._timeline.find(at) is None:
                yield self._give_up(at)
                return
        yield Rest(place, None)

    async def _entries(self, at: Position) -> Sequence[Entry]:
        if self._past is None or self._is_ahead(at):
            return []
        try:
            return await self._past.pages.after(at)
        except RedisUnavailable:
            return []

    def _may_come(self, at: Position) -> bool:
        """Whether waiting can help: the feed is not there yet, or the history has yet to be written."""
        return self._is_ahead(at) or not self._without_history

    def _patience(self, at: Position) -> float:
        return AHEAD_SECONDS if self._is_ahead(at) else WAIT_SECONDS

    def _is_ahead(self, at: Position) -> bool:
        newest = self._timeline.position
        return newest is not None and at > newest

    @property
    def _without_history(self) -> bool:
        return self._past is None or self._past.failing

    def _pieces(self, at: Position, entries: Sequence[Entry]) -> list[Piece]:
        pieces = []
        for entry in entries:
            missed = missed_between(at, entry)
            if missed != 0:
                pieces.append(self._gap(at, before(entry.position), missed, _reason(at, entry)))
            if entry.event is not None:
                pieces.append(Piece(entry.position, entry.event, entry.source))
            at = entry.position
        return pieces

    def _give_up(self, at: Position) -> Rest:
        """Goes on where the ring begins, or now, with a gap for everything before it."""
        newest = self._timeline.position
        if newest is None or at > newest:
            place, reason = self._timeline.ring.end_place, GapReason.UNKNOWN_ID
        else:
            place, reason = self._timeline.place_beyond(at), GapReason.EXPIRED
            if self._without_history:
                reason = GapReason.HISTORY_UNAVAILABLE
        missed = self._timeline.missed_since(at, place)
        return Rest(place, self._gap(at, self._timeline.position_at(place), missed, reason))

    def _gap(
        self,
        start: Position | None,
        end: Position | None,
        missed: int | None,
        reason: GapReason,
    ) -> Piece:
        """The notice of a gap, which is counted."""
        self._stats.gaps_resume += 1
        gap = Gap(self._feed.channel, start, end, missed, reason)
        return Piece(end, sse.hub_event(gap))


def _reason(at: Position, entry: Entry) -> GapReason:
    unlinked = entry.event is None and entry.previous is None
    return GapReason.UNHEARD if unlinked and entry.position.epoch != at.epoch else GapReason.EXPIRED
