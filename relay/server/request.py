"""One request under Daphne: its application starts with the head, and its body is passed on in pieces.

Where this diverges from Daphne's WebRequest, and why:

* The body is handed to the application as it comes, and the client waits while the application does.
  Daphne keeps the whole of it in a file and then in memory, and Twisted parses forms before that.
* `send` waits while the client does not read, behind middleware and over TLS as well.
* An application that ends before its response does has the connection cut, and its record removed.
* `Daphne-Root-Path` of a client is not obeyed. Host must be there once. A target may be a URL.
* The line for a request does not show a token.
"""

import asyncio
import io
import logging
import time
from typing import Any
from urllib.parse import unquote

from daphne.http_protocol import WebRequest
from daphne.utils import parse_x_forwarded_for
from django.utils.translation import gettext_lazy as _

from relay.http.application import path_below_root
from relay.http.body_limits import SMALL_BYTES
from relay.server import internals
from relay.server.budget import Share
from relay.server.target import check_fields, check_host, hide_token, parse_target
from relay.types import Message

logger = logging.getLogger("relay")

QUEUED_BYTES = 64 * 1024
"""What waits for the application before the client has to."""


class HubRequest(WebRequest):  # type: ignore[misc]
    """A request of a HubChannel."""

    def __init__(self, channel: Any, queued: object = 0) -> None:
        internals.Request.__init__(self, channel, queued, parsePOSTFormSubmission=False)
        # What Daphne's constructor sets, without a record for a head that is half read.
        self.client_addr: list[Any] | None = None
        self.server_addr: list[Any] | None = None
        self.server = channel.factory.server
        self.application_queue: asyncio.Queue[Message] | None = None
        self._response_started = False
        self._abandoned = False
        self._expects = False
        self._received = self._queued_bytes = 0
        self._pieces: list[bytes] = []
        self._limit = SMALL_BYTES
        self._share = Share(channel.factory.bodies)

    # -- from the channel

    def begin(self, method: bytes, uri: bytes, version: bytes, length: int | None) -> None:
        """Reads the head. Refuses the request, or starts its application."""
        self.method, self.clientproto = method, version
        self.uri = hide_token(uri)
        try:
            self._read_head(uri)
        except ValueError as error:
            self.channel.refuse(400, error.args[0])
            return
        self._read_addresses()
        if self._wants_websocket():
            if length:
                self.channel.refuse(400, _("A handshake has no body."))
            return
        scope = self._scope()
        if length != 0:
            self._limit = self.channel.factory.limits.bytes_for(
                scope["method"], path_below_root(scope)
            )
            if not self._has_room(length or 0):
                return
            expectation = (self.requestHeaders.getRawHeaders(b"Expect") or [b""])[0]
            self._expects = expectation.lower() == b"100-continue" and version == b"HTTP/1.1"
        self._start(scope)

    def _has_room(self, total: int) -> bool:
        if total > self._limit:
            self.channel.refuse(413, _("The body is larger than this path takes."))
        elif not self._share.grow(total):
            self.channel.refuse(503, _("Too many large bodies are being received."))
        else:
            return True
        return False

    def handleContentChunk(self, data: bytes) -> None:
        if self.is_over or self.application_queue is None:
            return
        self._received += len(data)
        if self._has_room(self._received):
            self._expects = False
            self._pieces.append(data)

    def pass_on(self) -> None:
        """Hands the application all that one read has brought, as one message."""
        if self._pieces and not self.is_over:
            body, self._pieces = b"".join(self._pieces), []
            self._queued_bytes += len(body)
            self._put(body, more=True)
            if self._queued_bytes > QUEUED_BYTES:
                self.channel.pause_body()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Called when the body is complete."""
        self.pass_on()
        if self.application_queue is not None:
            self._put(b"", more=False)
        elif not self.is_over:
            self._become_websocket()

    def connectionLost(self, reason: Any) -> None:
        self._leave()
        internals.Request.connectionLost(self, reason)

    # -- the head

    def _read_head(self, uri: bytes) -> None:
        """Raises ValueError."""
        headers = self.requestHeaders
        headers.removeHeader(b"Daphne-Root-Path")
        check_fields(headers.getAllRawHeaders())
        check_host(self.clientproto, headers.getRawHeaders(b"Host") or [])
        target = parse_target(self.method, uri)
        if target.host is not None:
            headers.setRawHeaders(b"Host", [target.host])
        self.path, self.query_string = target.path, target.query

    def _read_addresses(self) -> None:
        if hasattr(self.client, "host") and hasattr(self.client, "port"):
            self.client_addr = [str(self.client.host), self.client.port]
            self.server_addr = [str(self.host.host), self.host.port]
        self.client_scheme = "https" if self.isSecure() else "http"
        server = self.server
        if server.proxy_forwarded_address_header:
            self.client_addr, self.client_scheme = parse_x_forwarded_for(
                self.requestHeaders,
                server.proxy_forwarded_address_header,
                server.proxy_forwarded_port_header,
                server.proxy_forwarded_proto_header,
                self.client_addr,
                self.client_scheme,
            )

    def _scope(self) -> dict[str, Any]:
        fields = self.requestHeaders.getAllRawHeaders()
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": self.clientproto.partition(b"/")[2].decode("ascii"),
            "method": self.method.decode("ascii"),
            "path": unquote(self.path.decode("ascii")),
            "raw_path": self.path,
            "root_path": self.server.root_path,
            "scheme": self.client_scheme,
            "query_string": self.query_string,
            # Without underscores, which CGI names cannot tell from dashes (CVE-2015-0219).
            "headers": [(n.lower(), v) for n, vs in fields if b"_" not in n for v in vs],
            "client": self.client_addr,
            "server": self.server_addr,
        }

    # -- a WebSocket of the site

    def _wants_websocket(self) -> bool:
        return b"websocket" in [
            value.lower() for value in self.requestHeaders.getRawHeaders(b"Upgrade") or []
        ]

    def _become_websocket(self) -> None:
        self.content = io.BytesIO()
        self.server.protocol_connected(self)
        self.channel.release()
        self.process()

    # -- the application

    def _start(self, scope: dict[str, Any]) -> None:
        self.request_start = time.time()
        self.application_queue = asyncio.Queue()
        application = asyncio.ensure_future(self.server.application(scope, self.receive, self.send))
        self.server.connections[self] = {
            "connected": self.request_start,
            "application_instance": application,
        }
        application.add_done_callback(self._application_done)

    async def receive(self) -> Message:
        """The `receive` of ASGI."""
        assert self.application_queue is not None
        if self._expects and not self.is_over:
            self._expects = False
            self.channel.send_continue()
        message = await self.application_queue.get()
        self._queued_bytes -= len(message.get("body", b""))
        if self._queued_bytes <= QUEUED_BYTES and not self.is_over:
            self.channel.resume_body()
        return message

    async def send(self, message: Message) -> None:
        """The `send` of ASGI: returns when the client has taken what is buffered."""
        if self.is_over:
            return
        self.server.check_headers_type(message)
        if self.method == b"HEAD" and message.get("body"):
            message = {**message, "body": b""}  # Daphne leaks the second chunk of it
        self.handle_reply(message)
        if not self.is_over:
            await self.channel.drained()

    def _application_done(self, application: "asyncio.Future[None]") -> None:
        self.server.connections.pop(self, None)
        error = None if application.cancelled() else application.exception()
        if error is not None:
            logger.error("An application failed; its response is cut.", exc_info=error)
        if self.is_over:
            return
        if self._response_started:
            self.channel.cut()
        elif application.cancelled():
            self.channel.refuse(503, _("This process stops."))
        else:
            self.channel.refuse(500, _("The application failed."))

    # -- the end

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be sent."""
        return bool(self.finished or self._disconnected or self._abandoned)

    def abandon(self) -> None:
        """Ends a request to which the channel itself has answered."""
        self._abandoned = True
        self._leave()

    def finish(self) -> None:
        self._leave()
        internals.Request.finish(self)

    def handle_exception(self, exception: BaseException) -> None:
        """Does nothing: `_application_done` has seen it."""

    def _leave(self) -> None:
        self._share.end()
        if self.application_queue is not None:
            self.application_queue.put_nowait({"type": "http.disconnect"})
        record = self.server.connections.get(self)
        if record is not None:
            record.setdefault("disconnected", time.time())

    def _put(self, body: bytes, *, more: bool) -> None:
        assert self.application_queue is not None
        message = {"type": "http.request", "body": body, "more_body": more}
        self.application_queue.put_nowait(message)
