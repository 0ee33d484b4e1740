"""Whether this process is subscribed to Redis, and when it is called upon to look there."""

import asyncio
from typing import Protocol


class Live(Protocol):
    """Something that messages from Redis reach, or do not reach."""

    @property
    def live(self) -> bool:
        """Whether what is published now arrives, as far as this process can know."""


class Link:
    """What the listener knows and others ask. It starts neither live nor interrupted."""

    def __init__(self) -> None:
        self._live = False
        self._connected = asyncio.Event()
        self._connected.set()
        self._called = asyncio.Event()

    @property
    def live(self) -> bool:
        """Whether what is published reaches this process now, as far as it can know."""
        return self._live

    @property
    def interrupted(self) -> bool:
        """Whether the connection was lost, or could not be made, and is not back yet."""
        return not self._connected.is_set()

    def restored(self) -> None:
        self._live = True
        self._connected.set()
        self.call()  # a call may have been missed meanwhile

    def lost(self) -> None:
        self._live = False
        self._connected.clear()

    async def connected(self) -> None:
        """Returns when the link is not interrupted."""
        await self._connected.wait()

    def call(self) -> None:
        """Something waits in Redis for every hub process; harmless when there is nothing new."""
        self._called.set()

    async def called(self) -> None:
        """Returns after the next `call`, or at once after one since the last return.

        For one caller at a time.
        """
        await self._called.wait()
        self._called.clear()
