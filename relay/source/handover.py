"""Lets the messages of a new connection count, with the hole before them filled."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from relay.source.connection import Channel, Connection
from relay.source.refill import fill

HANDOVER_SECONDS = 0.2
"""How long the old connection may take to deliver everything up to where the new one begins."""


async def take_over(
    connection: Connection, channels: Iterable[Channel], old: Connection | None
) -> None:
    """Returns when everything that `connection` delivers of `channels` counts; ends `old`.

    An old connection that still delivers fills the hole by itself. Otherwise the hole is filled from
    the history; what the history lacks is a gap.
    """
    held = [entered for entered in connection.entered(channels) if entered.held]
    if old and old.open and held:
        waits = [entered.intake.promoted.wait() for entered in held]
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*waits), HANDOVER_SECONDS)
    if old:
        old.abort("another connection took over")
    await asyncio.gather(*(fill(entered) for entered in held if entered.held))
    for entered in held:
        entered.go_live()
