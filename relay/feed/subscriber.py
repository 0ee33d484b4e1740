"""One open stream, as a fan-out keeps it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from relay.feed.ring import Place
from relay.feed.writer import Chunk, Writer


class Client(Protocol):
    """Who reads a stream. An unknown user or address is empty."""

    @property
    def user(self) -> str: ...

    @property
    def address(self) -> str: ...


class Subscriber:
    """A writer and its cursor into the ring; a subscriber has no queue of its own.

    `seen` is the number of messages before the cursor. `before` is the note of the entry before it.
    `current` means that live passes serve the subscriber. A subscriber that is not current is behind
    (its writer is `full`), held (it is sent the past), or has left. `notice` is sent before the next
    entry.
    """

    __slots__ = (
        "_advance",
        "_client",
        "_drained",
        "_names",
        "_number",
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
        """`advance` is called when the writer is ready again and the subscriber is not held."""
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
        self._names: Sequence[str] = ()
        self._client: Client | None = None
        self._number = 0
        writer.on_ready(self._ready)

    def belongs_to(self, names: Sequence[str], client: Client, number: int) -> None:
        """Notes the channels of the stream, who reads it, and its number, for the log."""
        self._names, self._client, self._number = names, client, number

    def log_fields(self) -> dict[str, object]:
        """Returns what a line about this stream carries. `stream` names no other stream of any process."""
        number = self._number or id(self)  # without a number it is the stream of no hub
        fields: dict[str, object] = {"stream": f"{number:x}", "channels": list(self._names)}
        if self._client is not None:
            fields |= {"user": self._client.user, "client": self._client.address}
        return fields

    def send(self, chunk: Chunk) -> None:
        """Passes the chunk to the writer, and records whether the writer is full."""
        self.full = not self.writer.send(chunk)

    async def drained(self) -> None:
        """Returns when the writer is not full. Only for a held subscriber, one task at a time."""
        while self.full:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def fall_behind(self, before: Any) -> None:
        """Takes the subscriber out of live passes: its writer is full, or its next entry was evicted."""
        self.current = False
        self.full = True
        self.progress = None
        self.before = before

    def stalled_seconds(self, now: float) -> float:
        """Returns how long the client has taken nothing, measured from the first call that saw it."""
        progress = self.writer.progress()
        if progress != self.progress:
            self.progress = progress
            self.stalled_at = now
        return now - self.stalled_at

    def release(self, place: Place, notice: bytes) -> None:
        """Sets the place to continue from, and a notice to send before it."""
        self.cursor, self.seen = place
        self.notice = notice
        self.held = False

    def _ready(self) -> None:
        self.full = False
        if not self.held:
            self._advance(self)
        elif self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
