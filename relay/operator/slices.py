"""Long lists in slices, with the event loop served in between."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

SLICE = 256
"""How many channels or streams are read before the event loop goes on."""

_T = TypeVar("_T")


async def in_slices(items: Sequence[_T]) -> AsyncIterator[Sequence[_T]]:
    """Yields the items in order, SLICE at a time."""
    for first in range(0, len(items), SLICE):
        if first:
            await asyncio.sleep(0)
        yield items[first : first + SLICE]
