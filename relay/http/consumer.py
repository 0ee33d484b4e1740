"""`/stream/`: the ASGI side of one stream.

Where this diverges from channels' AsyncHttpConsumer, and why:

* `__call__` reads the connection itself. The base class awaits the whole response inside `dispatch`,
  so a stream would never see its client leave, and it makes a thread hop and two tasks per message.
* There is no channel layer: it would cost every stream a task and a Redis round trip.
* No exception leaves: Daphne's bookkeeping does not survive one after the response has started.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from channels.generic.http import AsyncHttpConsumer

from relay.access import problem
from relay.access.problem import Problem
from relay.engine.hub import Hub
from relay.engine.lifespan import get_hub
from relay.engine.stream import Admission, Full
from relay.feed.writer import Writer
from relay.http import admission as gate
from relay.http.asgi_writer import AsgiWriter
from relay.http.daphne_writer import DaphneWriter, daphne_request
from relay.types import Message, Send

logger = logging.getLogger("relay")

STREAM_HEADERS = [
    (b"Content-Type", b"text/event-stream; charset=utf-8"),
    (b"Cache-Control", b"no-cache, no-transform"),
    (b"X-Accel-Buffering", b"no"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
]


class StreamConsumer(AsyncHttpConsumer):
    """GET opens a stream; HEAD, OPTIONS and everything else get a complete, short answer."""

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[Message]], send: Send
    ) -> None:
        self.scope, self.receive, self.base_send = scope, receive, send
        self._cors: list[tuple[bytes, bytes]] = []
        try:
            if await self._request_read():
                hub = get_hub()
                admission = await self._respond(hub, dict(scope["headers"]))
                if admission:
                    await self._stream(hub, admission)
        except asyncio.CancelledError:
            pass  # the server stops; there is nobody left to tell
        except Exception:
            logger.exception("A stream failed; this is a bug.")

    async def _request_read(self) -> bool:
        """Reads the request to its end and drops any body; False when the client left before."""
        while (message := await self.receive())["type"] == "http.request":
            if not message.get("more_body"):
                return True
        return False

    async def _respond(self, hub: Hub, headers: dict[bytes, bytes]) -> Admission | None:
        """Answers whatever opens no stream; the admission to one that is to be opened."""
        try:
            host = gate.check_host(self.scope, headers)
            self._cors = gate.check_origin(hub.settings, host, headers)
            if self.scope["method"] == "OPTIONS":
                allow = [(b"Allow", gate.METHODS), *gate.PREFLIGHT_HEADERS]
                await self._answer(204, b"", allow)
                return None
            gate.check_request(self.scope, headers)
            self._asked_at = asyncio.get_running_loop().time()
            admission = await gate.admit(hub.settings, hub.catalogue, self.scope, headers)
        except Problem as refusal:
            await self._refuse(refusal)
            return None
        except Exception:
            logger.exception("Who asks for a stream could not be found out; it is turned away.")
            await self._turn_away(hub, headers, "Who you are cannot be found out now.")
            return None
        if self.scope["method"] == "HEAD":
            await self._answer(200, b"", STREAM_HEADERS)
            return None
        try:
            hub.check_room(admission)
        except Full as error:
            await self._turn_away(hub, headers, str(error))
            return None
        return admission

    async def _answer(self, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        await self.send_response(status, body, headers=[*headers, *self._cors])

    async def _refuse(self, refusal: Problem) -> None:
        length = (b"Content-Length", str(len(refusal.body)).encode())
        told = [*problem.HEADERS, length, *refusal.headers]
        await self._answer(refusal.status, refusal.body, told)

    async def _turn_away(self, hub: Hub, headers: dict[bytes, bytes], why: str) -> None:
        """An EventSource gives up for ever on any status but 200 (WHATWG HTML, 9.2.3)."""
        hub.stats.streams_refused += 1
        if b"text/event-stream" in headers.get(b"accept", b""):
            await self._answer(200, hub.refusal_retry(), STREAM_HEADERS)
            return
        seconds = str(hub.settings.overload_retry_ms // 1000 or 1).encode()
        await self._refuse(Problem(503, why, [(b"Retry-After", seconds)]))

    async def _stream(self, hub: Hub, admission: Admission) -> None:
        await self.send_headers(headers=[*STREAM_HEADERS, *self._cors])
        await self.send_body(hub.retry(), more_body=True)
        request = daphne_request(self.base_send)
        if request is not None:
            writer = DaphneWriter(request, hub.settings.client_buffer_bytes)
            with self._open(hub, writer, admission):
                await self._client_gone()
        else:
            await self._stream_by_asgi(hub, admission)

    async def _stream_by_asgi(self, hub: Hub, admission: Admission) -> None:
        writer = AsgiWriter(self.base_send)
        with self._open(hub, writer, admission):
            tasks = [asyncio.create_task(writer.run()), asyncio.create_task(self._client_gone())]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    @contextmanager
    def _open(self, hub: Hub, writer: Writer, admission: Admission) -> Iterator[None]:
        """The stream, for as long as the client stays and may see it."""
        stream = hub.join(writer, admission)
        if hub.kicks.reached(stream, self._asked_at):
            hub.end(stream)
        end: asyncio.TimerHandle | None = None
        if admission.ends_at is not None:
            left = max(admission.ends_at - time.time(), 0)
            end = asyncio.get_running_loop().call_later(left, hub.end, stream)
        try:
            yield
        finally:
            if end:
                end.cancel()
            hub.leave(stream)

    async def _client_gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
