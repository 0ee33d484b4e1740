"""How long the streams of a process that drains take to end, and their clients to come back elsewhere."""

import asyncio
import random
from collections.abc import Callable, Collection

from relay.clock import Clock
from relay.conf import Settings
from relay.engine.stream import Stream, longest

STEP_SECONDS = 0.01
"""Streams that end within so short a time end together."""

BACK_SECONDS = 1.0
"""How long a client takes to come back when its pause is over."""


def back_seconds(settings: Settings) -> float:
    """Returns how long after the end of its stream a client must be back, in seconds."""
    return longest(settings.retry_ms) / 1000 + BACK_SECONDS


def drain_bound(settings: Settings) -> float:
    """Returns how long `drain` takes at the most, in seconds."""
    return settings.drain_seconds + back_seconds(settings)


async def drain(
    streams: Collection[Stream], end: Callable[[Stream], None], settings: Settings, clock: Clock
) -> None:
    """Ends the streams in random order, over RELAY_DRAIN_SECONDS. Then waits until their clients are back."""
    shuffled = list(streams)
    random.shuffle(shuffled)
    began = clock.time()
    for number, stream in enumerate(shuffled):
        due = began + settings.drain_seconds * number / len(shuffled)
        pause = due - clock.time()
        if pause > STEP_SECONDS:
            await asyncio.sleep(pause)
        end(stream)
    if shuffled:
        await asyncio.sleep(back_seconds(settings))
