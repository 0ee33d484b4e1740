"""How much Redis keeps of the channels in a report."""

import asyncio
from collections.abc import Mapping, Sequence

from relay.broker.errors import RedisUnavailable
from relay.engine.channel import Channel

LOOK_SECONDS = 5.0
"""How often Redis is asked."""

ANSWER_SECONDS = 0.5
"""A report does not wait longer for the answers."""


class HistoryUse:
    """Remembers the answers until it asks again."""

    def __init__(self) -> None:
        self._kept: Mapping[str, int] = {}
        self._due = 0.0

    async def look(self, channels: Sequence[Channel], now: float) -> Mapping[str, int]:
        """Returns the number of entries by the name of the channel, where it is known.

        `now` is in seconds. A channel that is new in the report is asked about with the next look.
        """
        if now >= self._due:
            self._due = now + LOOK_SECONDS
            self._kept = await _ask(channels)
        return self._kept


async def _ask(channels: Sequence[Channel]) -> Mapping[str, int]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            numbers = await asyncio.gather(*map(_kept, channels))
    except TimeoutError:
        return {}
    found = zip(channels, numbers, strict=True)
    return {channel.name: number for channel, number in found if number is not None}


async def _kept(channel: Channel) -> int | None:
    try:
        return await channel.kept()
    except RedisUnavailable:
        return None
