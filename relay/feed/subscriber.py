"""One open stream, as a fan-out keeps it."""

import asyncio
from collections.abc import Callable
from typing import Any

from relay.feed.ring import Place
from relay.feed.writer import Chunk, Writer


class Subscriber:
    """A writer and how far it has come: a cursor into the ring, no queue of its own.

    `seen` is the number of messages before the cursor, `before` the note of the entry before it.
    `current` says that live passes serve the subscriber. One that is not current is behind (its writer
    is `full`), held (it is sent the past), or has left. `notice` goes before the next entry.
    """

    __slots__ = (
        "_advance",
        "_drained",
        "before",
        "current",
        "cursor",
        "full",
        "held",
        "notice",
        "progress",
        "seen",
        "stalled_at",
        "writer",
    )

    def __init__(self, writer: Writer, advance: Callable[["Subscriber"], None]) -> None:
        """`advance` is called when the writer takes more and the subscriber is not held."""
        self.writer = writer
        self.cursor = 0
        self.seen = 0
        self.before: Any = None
        self.current = False
        self.full = False
        self.held = True
        self.notice = b""
        self.progress: object = None
        self.stalled_at = 0.0
        self._advance = advance
        self._drained: asyncio.Future[None] | None = None
        writer.on_ready(self._ready)

    def send(self, chunk: Chunk) -> None:
        """Hands the chunk to the writer, and remembers whether the writer is full."""
        self.full = not self.writer.send(chunk)

    async def drained(self) -> None:
        """Returns when the writer takes more. Only for a subscriber that is held, one task at a time."""
        while self.full:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def fall_behind(self, before: Any) -> None:
        """The writer is full, or the ring has dropped what comes next; live passes go on without it."""
        self.current = False
        self.full = True
        self.progress = None
        self.before = before

    def stalled_seconds(self, now: float) -> float:
        """How long its client had taken nothing when this was last asked, and still has not."""
        progress = self.writer.progress()
        if progress != self.progress:
            self.progress = progress
            self.stalled_at = now
        return now - self.stalled_at

    def release(self, place: Place, notice: bytes) -> None:
        """From now on the ring is sent, from `place` on, after the notice."""
        self.cursor, self.seen = place
        self.notice = notice
        self.held = False

    def _ready(self) -> None:
        self.full = False
        if not self.held:
            self._advance(self)
        elif self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
