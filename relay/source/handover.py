"""Hands over from an old connection to a new one, and fills the hole before the new one."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress

from relay.source.connection import Connection
from relay.source.entered import Channel, Entered
from relay.source.refill import fill

HANDOVER_SECONDS = 0.2
"""How long to wait for the old connection to deliver everything up to the new one's first marker."""


async def take_over(
    connection: Connection, channels: Iterable[Channel], old: Connection | None
) -> None:
    """Returns when the messages of `connection` count for all of `channels`. Ends `old`.

    An old connection that still delivers leaves no hole. Otherwise the hole is filled from the
    history. Messages that the history lacks are a gap.
    """
    held = [entered for entered in connection.entered(channels) if entered.held]
    if old:
        try:
            await _caught_up(old, held)
        finally:  # also where the listener ends meanwhile
            old.abort("another connection took over")
    await asyncio.gather(*(fill(entered, connection.master) for entered in held if entered.held))
    for entered in held:
        entered.go_live()


async def _caught_up(old: Connection, held: Sequence[Entered]) -> None:
    """Returns when `old` has delivered what was before the hole, or no longer may."""
    if old.open and held:
        waits = [entered.intake.promoted.wait() for entered in held]
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*waits), HANDOVER_SECONDS)
