"""Fills the hole that a broken connection leaves with messages that other processes have written."""

import asyncio
from collections.abc import Sequence

from relay.broker.errors import RedisUnavailable
from relay.feed.entries import Entry
from relay.source.connection import Channel, Entered
from relay.source.intake import Intake
from relay.wire.position import Position

FILL_SECONDS = 5.0
"""How long to wait for another process that received everything. Then the rest of the hole is a gap.

A process that only watches needs two looks until it writes. A process that lost its connection too
has its own hole to fill first. This time is used up only when no process writes.
"""
POLL_SECONDS = 0.02
"""How often the history is read again. An event would need a blocked connection for each channel."""

PAGE_ENTRIES = 500
PAGE_BYTES = 1024 * 1024


async def fill(entered: Entered) -> None:
    """Fills the feed up to the first marker of `entered`, so that it counts. The rest is a gap."""
    channel, intake, session = entered.channel, entered.intake, entered.session
    loop = asyncio.get_running_loop()
    nobody_writes = entered.alone or channel.history is None
    deadline = loop.time() + (0.0 if nobody_writes else FILL_SECONDS)
    while entered.held:
        entries = await _next_page(channel)
        for entry in entries:
            intake.fill(session, entry)
        if not entries and loop.time() >= deadline:
            intake.give_up(session)
        elif not entries:
            await _promoted(intake, POLL_SECONDS)


async def _promoted(intake: Intake, seconds: float) -> None:
    """Waits until nothing is held back, but no longer than `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await intake.promoted.wait()
    except TimeoutError:
        pass


async def _next_page(channel: Channel) -> Sequence[Entry]:
    """Returns the entries of the history that follow the feed."""
    at, history = channel.feed.timeline.position, channel.history
    if history is None or at is None:
        return []
    try:
        return await history.read(Position(at.epoch, at.offset + 1), PAGE_ENTRIES, PAGE_BYTES)
    except RedisUnavailable:
        return []
