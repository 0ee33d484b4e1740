"""Brings a client from the position it knows to its place in the ring, through the history."""

import asyncio
from collections.abc import Callable

from relay.broker.errors import RedisUnavailable
from relay.feed.entries import Entry, missed_between
from relay.feed.feed import Feed
from relay.feed.ring import Place
from relay.history.page_cache import PageCache
from relay.replay.catching_up import Send
from relay.replay.locate import before
from relay.stats import Stats
from relay.wire import sse
from relay.wire.notices import Gap, GapReason
from relay.wire.position import Position

WAIT_SECONDS = 3.0
"""How long a client waits for a history, or a feed, that has yet to come to where the client is."""

AHEAD_SECONDS = 6.0
"""How long it waits for a feed that looks live: more than a lost connection takes to be noticed."""

POLL_SECONDS = 0.05

Number = Callable[[Position, bytes], bytes]
"""Puts the id of a position before an event."""


def _numbered(position: Position, event: bytes) -> bytes:
    return sse.numbered(*position, event)


class Replay:
    """One client's way. `pages` is None where there is no history."""

    def __init__(
        self,
        feed: Feed,
        pages: PageCache | None,
        is_live: Callable[[], bool],
        is_failing: Callable[[], bool],
        stats: Stats,
    ) -> None:
        self._feed = feed
        self._pages = pages
        self._is_failing = is_failing
        self._is_live = is_live
        self._stats = stats

    async def bring(
        self, at: Position, send: Send, number: Number = _numbered
    ) -> tuple[Place, bytes]:
        """Sends every message after `at` until the ring has what follows.

        Returns the place there, and a last notice that must be sent before it. Between the return and
        joining at that place nothing may be awaited. `send` returns when the client takes more.
        """
        polls = 0  # counted, not timed: a process that was stopped has yet to hear what it missed
        while (place := self._feed.find(at)) is None:
            entries = await self._after(at)
            if entries:
                body, at = self._body(at, entries, number)
                if body:  # not where there was nothing but boundaries
                    await send(body)
                polls = 0
            elif not self._is_live():
                polls = 0
                await asyncio.sleep(POLL_SECONDS)
            elif self._may_come(at) and polls * POLL_SECONDS < self._patience(at):
                polls += 1
                await asyncio.sleep(POLL_SECONDS)
            elif self._feed.find(at) is None:
                return self._leap(at, number)
        return place, b""

    def leap(self, number: Number = _numbered) -> tuple[Place, bytes]:
        """For a client with an id that is no position at all: live from here, and it is told."""
        place = self._end()
        at = self._feed.position_at(place)
        return place, self.gap(None, at, None, GapReason.UNKNOWN_ID, number)

    async def _after(self, at: Position) -> list[Entry]:
        if self._pages is None or self._is_ahead(at):
            return []
        try:
            return list(await self._pages.after(at))
        except RedisUnavailable:
            return []

    def _may_come(self, at: Position) -> bool:
        """Whether waiting can help: the feed is not there yet, or the history has yet to be written."""
        return self._is_ahead(at) or (self._pages is not None and not self._is_failing())

    def _patience(self, at: Position) -> float:
        return AHEAD_SECONDS if self._is_ahead(at) else WAIT_SECONDS

    def _is_ahead(self, at: Position) -> bool:
        newest = self._feed.position
        return newest is not None and at > newest

    def _body(self, at: Position, entries: list[Entry], number: Number) -> tuple[bytes, Position]:
        parts = []
        for entry in entries:
            missed = missed_between(at, entry)
            if missed != 0:
                parts.append(
                    self.gap(at, before(entry.position), missed, _reason(at, entry), number)
                )
            if entry.event is not None:
                parts.append(number(entry.position, entry.event))
            at = entry.position
        return b"".join(parts), at

    def _leap(self, at: Position, number: Number) -> tuple[Place, bytes]:
        """The way ends here: tells what is missing up to where the ring begins, or up to now."""
        newest = self._feed.position
        if newest is None or at > newest:
            place, reason = self._end(), GapReason.UNKNOWN_ID
        else:
            place, reason = self._feed.place_beyond(at), GapReason.EXPIRED
            if self._pages is None or self._is_failing():
                reason = GapReason.HISTORY_UNAVAILABLE
        missed = self._feed.missed_since(at, place)
        return place, self.gap(at, self._feed.position_at(place), missed, reason, number)

    def _end(self) -> Place:
        return self._feed.ring.place(self._feed.ring.end)

    def gap(
        self,
        start: Position | None,
        end: Position | None,
        missed: int | None,
        reason: GapReason,
        number: Number = _numbered,
    ) -> bytes:
        """The notice of a gap, which is counted."""
        self._stats.gaps_resume += 1
        event = sse.hub_event(Gap(self._feed.channel, start, end, missed, reason))
        return number(end, event) if end else event


def _reason(at: Position, entry: Entry) -> GapReason:
    unlinked = entry.event is None and entry.previous is None
    return GapReason.UNHEARD if unlinked and entry.position.epoch != at.epoch else GapReason.EXPIRED
