"""One client's connection, as the fan-out sees it: bytes go in until it is full."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class Chunk:
    """Bytes for a response body, shared by every client that gets them.

    `framed` is the same as one HTTP/1.1 chunk (RFC 9112, section 7.1), made once for all of them.
    """

    __slots__ = ("body", "framed")

    def __init__(self, body: bytes) -> None:
        self.body = body
        # an empty chunk would end the response
        self.framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""


class Writer(Protocol):
    """A connection that takes chunks. No method awaits, and none raises because the client is gone."""

    on_ready: Callable[[], None]
    """Called when a writer that was full takes chunks again; set by whoever sends."""

    def send(self, chunk: Chunk) -> bool:
        """Takes the chunk in any case. False: the client is behind, send no more until `on_ready`."""

    def progress(self) -> object:
        """A value that changes whenever the client's side has taken something."""

    def finish(self, chunk: Chunk) -> None:
        """Sends the last chunk and ends the response properly."""

    def abort(self) -> None:
        """Cuts the connection; what is still buffered is dropped."""


class AsgiWriter:
    """Writes through the `send` of any ASGI server, one chunk at a time.

    The server's `send` returns when its own buffer has room, so a slow client holds one chunk here
    and whatever that server buffers. A server cannot be told to cut a connection; `abort` ends the
    application's side of it (`run` returns), which leaves the rest to the server.
    """

    on_ready: Callable[[], None]

    def __init__(self, send: Send) -> None:
        self._send = send
        self._chunks: list[tuple[Chunk, bool]] = []
        self._wake = asyncio.Event()
        self._sent = 0
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    def send(self, chunk: Chunk) -> bool:
        self._put(chunk, more=True)
        return False

    def progress(self) -> object:
        return self._sent

    def finish(self, chunk: Chunk) -> None:
        self._put(chunk, more=False)

    def abort(self) -> None:
        self._closed = True
        if self._task:
            self._task.cancel()

    async def run(self) -> None:
        """Sends what it was given until it is finished or aborted, or the server refuses."""
        self._task = asyncio.current_task()
        while not self._closed:
            if not self._chunks:
                self._wake.clear()
                await self._wake.wait()
                continue
            chunk, more = self._chunks.pop(0)
            try:
                await self._send(
                    {"type": "http.response.body", "body": chunk.body, "more_body": more}
                )
            except OSError:  # how ASGI says that the client is gone (specification, HTTP, "send")
                return
            if not more:
                return
            self._sent += 1
            if not self._chunks:
                self.on_ready()

    def _put(self, chunk: Chunk, *, more: bool) -> None:
        self._chunks.append((chunk, more))
        self._wake.set()
