"""Fills the hole that a broken connection leaves, with what other processes wrote into the history."""

import asyncio
from collections.abc import Sequence

from relay.broker.errors import RedisUnavailable
from relay.feed.entries import Entry
from relay.feed.feed import Feed
from relay.history.history import History
from relay.source.intake import Intake, Session
from relay.wire.position import Position

FILL_SECONDS = 1.0
"""How long another process gets to write what it heard."""

POLL_SECONDS = 0.02
PAGE_ENTRIES = 500
PAGE_BYTES = 1024 * 1024


async def fill(
    feed: Feed, intake: Intake, session: Session, log: History | None, *, alone: bool
) -> None:
    """Brings the feed to where `session` began, so that it counts; what cannot be had is a gap."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + (0.0 if alone or log is None else FILL_SECONDS)
    while intake.is_held(session):
        entries = await _after(feed, log)
        for entry in entries:
            intake.fill(session, entry)
        if not entries and loop.time() >= deadline:
            intake.give_up(session)
        elif not entries:
            await asyncio.sleep(POLL_SECONDS)


async def _after(feed: Feed, log: History | None) -> Sequence[Entry]:
    at = feed.timeline.position
    if log is None or at is None:
        return []
    try:
        return await log.read(Position(at.epoch, at.offset + 1), PAGE_ENTRIES, PAGE_BYTES)
    except RedisUnavailable:
        return []
