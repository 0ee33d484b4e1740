"""The admin address: `/metrics` for Prometheus and `/details` for people, over HTTP/1.1.

A request is one line and fields, a GET or a HEAD; the answer ends the connection. There is no
authentication: the address itself decides who may ask. On loopback the Host must be loopback, too, so that
no page of another site reads it by a name that leads here.
"""

import asyncio
import logging
from contextlib import suppress

from relay import tasks
from relay.broker.outage import Outage
from relay.conf.addresses import Address
from relay.metrics.host import Collect, View
from relay.metrics.render import Rendered, render_details, render_metrics
from relay.metrics.request import BadRequest, Request, read_request

logger = logging.getLogger("relay")

MAX_CONNECTIONS = 16
"""Connections at once. One more is closed without an answer."""

HEAD_BYTES = 8192
HEAD_SECONDS = 5.0
"""The bounds of a request."""

WRITE_SECONDS = 10.0
"""How long the client may take to read the answer."""

FRESH_SECONDS = 0.5
"""How long an answer is given again, so that whoever asks all the time costs no more."""

RETRY_SECONDS = 5.0
"""The pause before the address is tried again."""

PATHS = {"/metrics": View.METRICS, "/details": View.DETAILS}


class AdminServer:
    """`run` it until it is cancelled. An address that cannot be had ends nothing: it is tried again."""

    def __init__(self, address: Address, collect: Collect) -> None:
        self._address = address
        self._collect = collect
        self._answers: dict[tuple[str, str], tuple[float, Rendered]] = {}
        self._turn = asyncio.Lock()
        self._connections: set[asyncio.Task[None]] = set()
        self._outage = Outage(
            "The metrics cannot be served at %s: %s. The hub goes on; trying again.",
            "The metrics are served at %s.",
        )

    async def run(self) -> None:
        server = await self._listen()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            server.close()
            await tasks.end(self._connections)

    async def _listen(self) -> asyncio.Server:
        """Returns when it listens."""
        host, port = self._address
        while True:
            try:
                server = await asyncio.start_server(
                    self._connected, host, port, limit=HEAD_BYTES, backlog=MAX_CONNECTIONS
                )
            except OSError as error:
                self._outage.begin(self, self._address.shown, error.strerror or error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._outage.end(self, self._address.shown)
                return server

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    # -- one connection

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, TimeoutError):
                answer = await self._answer_to(reader)
                if answer:
                    await _send(reader, writer, answer)
        except Exception:
            logger.exception("An answer of the admin address failed; this is a bug.")
        finally:
            writer.transport.abort()

    async def _answer_to(self, reader: asyncio.StreamReader) -> bytes:
        """Returns nothing for a connection that ends without a request."""
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                request = await read_request(reader)
        except TimeoutError:
            return _text(408, "Request Timeout")
        except BadRequest as refused:
            return _text(refused.status, refused.phrase, refused.fields)
        if request is None:
            return b""
        if self._address.is_loopback and not request.names_loopback:
            return _text(421, "Misdirected Request", body_wanted=request.method == "GET")
        if request.path not in PATHS:
            return _text(404, "Not Found", body_wanted=request.method == "GET")
        found = await self._rendered(request)
        body = found.body if request.method == "GET" else b""
        return _head(200, "OK", found.content_type, len(found.body)) + body

    async def _rendered(self, request: Request) -> Rendered:
        """Renders one answer at a time, and gives one that is fresh again."""
        view, now = PATHS[request.path], asyncio.get_running_loop().time
        kind = "openmetrics" if "application/openmetrics-text" in request.accept else ""
        key = request.path, kind
        async with self._turn:
            until, rendered = self._answers.get(key, (0.0, None))
            if rendered is None or now() >= until:
                host = await self._collect(view)
                details = view is View.DETAILS
                rendered = render_details(host) if details else render_metrics(host, request.accept)
                self._answers[key] = now() + FRESH_SECONDS, rendered
            return rendered


async def _send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes) -> None:
    """Sends the answer and waits until the client has it: unread bytes of the request would reset it."""
    async with asyncio.timeout(WRITE_SECONDS):
        writer.write(answer)
        await writer.drain()
        writer.write_eof()
        for _ in range(HEAD_BYTES):
            if not await reader.read(HEAD_BYTES):
                return


def _text(status: int, phrase: str, fields: str = "", *, body_wanted: bool = True) -> bytes:
    body = f"{phrase}\n".encode()
    head = _head(status, phrase, "text/plain; charset=utf-8", len(body), fields)
    return head + (body if body_wanted else b"")


def _head(status: int, phrase: str, content_type: str, size: int, fields: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: {content_type}\r\nContent-Length: {size}\r\n"
        f"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n{fields}"
        "Connection: close\r\n\r\n"
    ).encode()
