"""Whether this process is subscribed to Redis, and when it is called upon to look there."""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol
from weakref import WeakSet

WORDS = 32
WORD_BYTES = 1024
"""The bounds of messages to all hub processes that wait for their reader."""


class Live(Protocol):
    """Something that messages from Redis reach, or do not reach."""

    @property
    def live(self) -> bool:
        """Whether what is published now arrives, as far as this process can know."""

    @property
    def interrupted(self) -> bool:
        """Whether the connection was lost, or could not be made, and is not back yet."""


class Link:
    """What the listeners know and others ask. It starts neither live nor interrupted.

    It is live while every listener is, and interrupted while one of them is.
    """

    def __init__(self) -> None:
        self._live: set[object] = set()
        self._lost: set[object] = set()
        self.restorations = 0
        """How often a listener went live: the Redis of today may not have what the one before had."""
        self._connected = asyncio.Event()
        self._connected.set()
        self._called = asyncio.Event()
        self._doubted = asyncio.Event()
        self._words: deque[bytes] = deque(maxlen=WORDS)
        self._spoken = asyncio.Event()
        self.outdated: WeakSet[object] = WeakSet()
        """The intakes of which a marker had an epoch below the newest, so that a new one must be opened."""

    @property
    def live(self) -> bool:
        """Whether what is published reaches this process now, as far as it can know."""
        return bool(self._live) and not self._lost

    @property
    def interrupted(self) -> bool:
        """Whether a connection was lost, or could not be made, and is not back yet."""
        return bool(self._lost)

    def restored(self, who: object = None) -> None:
        self._lost.discard(who)
        self._live.add(who)
        self.restorations += 1
        self._note()
        self.call()  # a call may have been missed meanwhile

    def lost(self, who: object = None) -> None:
        self._live.discard(who)
        self._lost.add(who)
        self._note()

    def forget(self, who: object) -> None:
        """Called when a listener has ended, because nothing is left for it to listen to."""
        was_live = self.live
        self._live.discard(who)
        self._lost.discard(who)
        self._note()
        if self.live and not was_live:
            self.call()  # the list of processes still has this one as lost

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

    def hear(self, word: bytes) -> None:
        """Takes a message to all hub processes. Only the newest WORDS are kept, and none that is too long."""
        if len(word) <= WORD_BYTES:
            self._words.append(word)
            self._spoken.set()

    async def heard(self, seconds: float | None) -> Sequence[bytes]:
        """Returns what was heard since the last return, after waiting for it; empty after `seconds`.

        For one caller at a time.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._spoken.wait()
        self._spoken.clear()
        words = list(self._words)
        self._words.clear()
        return words

    def doubt(self) -> None:
        """Called where another server seems to be the master of a channel."""
        self._doubted.set()

    async def doubted(self) -> None:
        """Returns after the next `doubt`, as `called` does."""
        await self._doubted.wait()
        self._doubted.clear()

    def _note(self) -> None:
        if self._lost:
            self._connected.clear()
        else:
            self._connected.set()


class MasterLink:
    """One listener's share of the link."""

    def __init__(self, whole: Link) -> None:
        self.whole = whole
        self.live = False
        self.interrupted = False

    def restored(self) -> None:
        self.live, self.interrupted = True, False
        self.whole.restored(self)

    def lost(self) -> None:
        self.live, self.interrupted = False, True
        self.whole.lost(self)
        self.whole.doubt()

    def end(self) -> None:
        """Called when the listener has ended."""
        self.live = self.interrupted = False
        self.whole.forget(self)
