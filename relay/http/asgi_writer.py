"""Writes through the `send` of any ASGI server."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from relay.feed.writer import Chunk
from relay.types import Send


class AsgiWriter:
    """Writes through the `send` of any ASGI server, one chunk at a time.

    The server's `send` returns when its own buffer has room, so a slow client holds one chunk here
    and what that server buffers. An application cannot cut a connection. `abort` ends the application
    (`run` returns) before its response is complete. The server then closes the connection: Daphne, as
    relay/server/ has it, at once, and others when they choose.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._ready: Callable[[], None] | None = None
        self._chunks: list[tuple[Chunk, bool]] = []
        self._wake = asyncio.Event()
        self._sent = 0
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    def on_ready(self, callback: Callable[[], None]) -> None:
        self._ready = callback

    def send(self, chunk: Chunk) -> bool:
        self._put(chunk, more=True)
        return False

    def progress(self) -> object:
        return self._sent

    def waiting_bytes(self) -> int:
        """Without what the server buffers."""
        return sum(len(chunk.body) for chunk, _ in self._chunks)

    def peer(self) -> str:
        return ""

    def finish(self, chunk: Chunk) -> None:
        self._put(chunk, more=False)

    def abort(self) -> None:
        self._closed = True
        if self._task:
            self._task.cancel()

    async def run(self, client_gone: Coroutine[Any, Any, None]) -> None:
        """Sends what it is given until it is finished or aborted, or the client leaves."""
        tasks = [asyncio.create_task(self._write()), asyncio.create_task(client_gone)]
        self._task = tasks[0]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):  # not CancelledError
                raise end

    async def _write(self) -> None:
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
            except OSError:  # the client has left (ASGI specification, HTTP, "send")
                return
            if not more:
                return
            self._sent += 1
            if not self._chunks and self._ready:
                self._ready()

    def _put(self, chunk: Chunk, *, more: bool) -> None:
        self._chunks.append((chunk, more))
        self._wake.set()
