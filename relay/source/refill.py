"""Fills the hole that a broken connection leaves with messages that other processes have written."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from relay.broker.errors import RedisUnavailable
from relay.broker.master import Master
from relay.feed.entries import Entry
from relay.source.entered import Channel, Entered
from relay.source.intake import Intake
from relay.wire.position import Position

SILENCE_SECONDS = 2.0
"""How long nothing new may be written before the rest of the hole is a gap.

A process that received everything writes within 1.2 s of a marker: that is two looks of one that only
watches. As long as entries come, a process is at work that may have had a hole of its own to fill first.
"""

FILL_SECONDS = 10.0
"""The longest that a hole is filled; then the rest of it is a gap."""

MOVE_SILENCE_SECONDS, MOVE_FILL_SECONDS = 0.3, 1.0
"""The same where another server has become the master: nobody received everything, then, for the old
one ended. A process that moved earlier may have written what it had."""

POLL_SECONDS = 0.02
"""How often the history is read again. An event would need a blocked connection for each channel."""

RENEW_SECONDS = 0.5
"""How long the marker of a new epoch may take; then another one is opened."""

PAGE_ENTRIES = 500
PAGE_BYTES = 1024 * 1024


async def fill(entered: Entered, master: Master) -> None:
    """Fills the feed up to the first marker of `entered`, so that it counts. The rest is a gap.

    While a session of another master delivers, nothing is filled: its messages and those of the history
    are in two orders. Nor is anything filled before an epoch that is outdone.
    """
    channel, intake, session = entered.channel, entered.intake, entered.session
    before = entered.before
    if before is not None and before.delivers:
        await _give_up(entered, master)
        return
    clock = asyncio.get_running_loop().time
    silence, longest = _patience(entered, moves=before is not None)
    end = clock() + longest
    deadline = min(end, clock() + silence)
    while entered.held:
        if intake.is_outdone(session):
            await _give_up(entered, master)
            return
        entries = await _next_page(channel)
        for entry in entries:
            intake.fill(session, entry)
        if entries:
            deadline = min(end, clock() + silence)
        elif clock() >= deadline:
            await _give_up(entered, master)
        else:
            await _promoted(intake, POLL_SECONDS)


async def _give_up(entered: Entered, master: Master) -> None:
    """Makes the rest of the hole a gap. An epoch that is outdone is replaced first, by a new one."""
    channel, intake, session = entered.channel, entered.intake, entered.session
    while intake.is_outdone(session):
        with suppress(RedisUnavailable):
            await channel.epochs.open(master, channel.feed.timeline.newest_epoch)
        with suppress(TimeoutError):
            async with asyncio.timeout(RENEW_SECONDS):
                while intake.is_outdone(session):
                    await asyncio.sleep(POLL_SECONDS)
    intake.give_up(session)


def _patience(entered: Entered, *, moves: bool) -> tuple[float, float]:
    """Returns how long nothing new may be written, and how long to wait at the most."""
    if entered.alone or entered.channel.history is None:
        return 0.0, 0.0
    if moves:
        return MOVE_SILENCE_SECONDS, MOVE_FILL_SECONDS
    return SILENCE_SECONDS, FILL_SECONDS


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
