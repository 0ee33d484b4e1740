"""`/stream/`: the ASGI side of one stream.

Where this diverges from channels' AsyncHttpConsumer, and why:

* `__call__` reads the connection itself. The base class awaits the whole response inside `dispatch`,
  so a stream would never see its client leave, and it makes a thread hop and two tasks per message.
* There is no channel layer: it would cost every stream a task and a Redis round trip.
* Consumers sit outside Django's middleware, so the Host header is checked here.
* No exception leaves: Daphne's bookkeeping does not survive one after the response has started.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from channels.generic.http import AsyncHttpConsumer
from django.conf import settings as django_settings
from django.http.request import MediaType, split_domain_port, validate_host

from relay.catalogue import Found
from relay.daphne_writer import DaphneWriter, daphne_request
from relay.hub import Hub
from relay.lifespan import get_hub
from relay.start import Start, find_channels, parse_query, parse_starts
from relay.writers import AsgiWriter, Message, Send

logger = logging.getLogger("relay")

METHODS = b"GET, HEAD, OPTIONS"

STREAM_HEADERS = [
    (b"Content-Type", b"text/event-stream; charset=utf-8"),
    (b"Cache-Control", b"no-cache, no-transform"),
    (b"X-Accel-Buffering", b"no"),
    (b"X-Content-Type-Options", b"nosniff"),
]

PROBLEM_HEADERS = [
    (b"Content-Type", b"text/plain; charset=utf-8"),
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
]

LOCAL_HOSTS = [".localhost", "127.0.0.1", "[::1]"]
"""What Django allows in DEBUG when ALLOWED_HOSTS is empty (ref/settings, "ALLOWED_HOSTS")."""


class StreamConsumer(AsyncHttpConsumer):
    """GET opens a stream; HEAD, OPTIONS and everything else get a complete, short answer."""

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[Message]], send: Send
    ) -> None:
        self.scope, self.receive, self.base_send = scope, receive, send
        try:
            if await self._request_read():
                await self._respond()
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

    async def _respond(self) -> None:
        headers = dict(self.scope["headers"])
        method = self.scope["method"]
        if not _host_allowed(headers, self.scope):
            await self._problem(400, b"This host is not served here (ALLOWED_HOSTS).\n")
        elif method == "OPTIONS":
            await self.send_response(204, b"", headers=[(b"Allow", METHODS)])
        elif method not in {"GET", "HEAD"}:
            await self._problem(405, b"A stream is read with GET.\n", headers=[(b"Allow", METHODS)])
        elif not _accepts_events(headers.get(b"accept", b"")):
            await self._problem(406, b"A stream is text/event-stream, which Accept excludes.\n")
        elif method == "HEAD":
            await self.send_response(200, b"", headers=STREAM_HEADERS)
        else:
            await self._stream(get_hub(), headers)

    async def _problem(
        self, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        length = (b"Content-Length", str(len(body)).encode())
        await self.send_response(status, body, headers=[*PROBLEM_HEADERS, length, *(headers or [])])

    async def _stream(self, hub: Hub, headers: dict[bytes, bytes]) -> None:
        try:
            query = parse_query(self.scope.get("query_string", b""))
            founds = find_channels(hub.catalogue, query.get("channel") or [hub.settings.channel])
            names = [found.name for found in founds]
            now_ms = time.time_ns() // 1_000_000
            starts = parse_starts(names, headers.get(b"last-event-id"), query, now_ms)
        except LookupError as error:
            await self._problem(404, f"{error.args[0]}\n".encode())
            return
        except ValueError as error:
            await self._problem(400, f"{error}\n".encode())
            return
        if hub.full:
            await self._turn_away(hub, headers)
            return
        await self.send_headers(headers=STREAM_HEADERS)
        await self.send_body(hub.retry(), more_body=True)
        request = daphne_request(self.base_send)
        if request is None:
            await self._stream_by_asgi(hub, founds, starts)
        else:
            await self._stream_by_daphne(hub, request, founds, starts)

    async def _turn_away(self, hub: Hub, headers: dict[bytes, bytes]) -> None:
        """An EventSource gives up for ever on any status but 200 (WHATWG HTML, 9.2.3)."""
        hub.stats.streams_refused += 1
        if b"text/event-stream" in headers.get(b"accept", b""):
            await self.send_response(200, hub.overload_retry(), headers=STREAM_HEADERS)
        else:
            seconds = str(hub.settings.overload_retry_ms // 1000 or 1).encode()
            await self._problem(
                503, b"All streams are taken.\n", headers=[(b"Retry-After", seconds)]
            )

    async def _stream_by_daphne(
        self, hub: Hub, request: Any, founds: list[Found], starts: Mapping[str, Start]
    ) -> None:
        writer = DaphneWriter(request, hub.settings.client_buffer_bytes)
        stream = hub.join(writer, founds, starts)
        try:
            await self._client_gone()
        finally:
            hub.leave(stream)

    async def _stream_by_asgi(
        self, hub: Hub, founds: list[Found], starts: Mapping[str, Start]
    ) -> None:
        writer = AsgiWriter(self.base_send)
        stream = hub.join(writer, founds, starts)
        tasks = [asyncio.create_task(writer.run()), asyncio.create_task(self._client_gone())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hub.leave(stream)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _client_gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


def _host_allowed(headers: dict[bytes, bytes], scope: dict[str, Any]) -> bool:
    """Django's rule (HttpRequest.get_host), without making a Django request of every stream."""
    name = b"x-forwarded-host" if django_settings.USE_X_FORWARDED_HOST else b"host"
    raw = headers.get(name, headers.get(b"host"))
    host = raw.decode("latin-1") if raw is not None else (scope.get("server") or ("", None))[0]
    allowed = django_settings.ALLOWED_HOSTS or (LOCAL_HOSTS if django_settings.DEBUG else [])
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)


def _accepts_events(accept: bytes) -> bool:
    """Whether an Accept header lets text/event-stream through (RFC 9110, section 12.5.1)."""
    if not accept.strip():
        return True
    ranges = [MediaType(text) for text in accept.decode("latin-1").split(",") if text.strip()]
    matching = [r for r in ranges if r.match("text/event-stream")]
    return bool(matching) and max(matching, key=lambda r: r.specificity).quality > 0
