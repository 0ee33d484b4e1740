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
import time
from typing import Any

from daphne.http_protocol import WebRequest

from relay import tasks
from relay.http import early_refusal
from relay.http.application import path_below_root
from relay.http.body_limits import SMALL_BYTES
from relay.http.early_refusal import Refusal
from relay.server import bounds, internals
from relay.server.budget import Share
from relay.server.handing_over import take_connection
from relay.server.head import (
    read_addresses,
    read_head,
    scope_of,
    waits_for_continue,
    wants_websocket,
)
from relay.server.target import hide_token
from relay.sockets.detached import EXTENSION, Detached
from relay.types import Message


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
            read_head(self, uri)
        except ValueError as error:
            self.channel.refuse(Refusal(400, error.args[0]))
            return
        read_addresses(self)
        if wants_websocket(self):
            if length:
                self.channel.refuse(early_refusal.HANDSHAKE)
            return
        scope = scope_of(self)
        if self.channel.factory.hands_over:
            scope["extensions"] = {EXTENSION: self.detach}
        if length != 0:
            self._limit = self.channel.factory.limits.bytes_for(
                scope["method"], path_below_root(scope)
            )
            if not self._has_room(length or 0):
                return
            self._expects = waits_for_continue(self)
        self._start(scope)

    def _has_room(self, total: int) -> bool:
        if total > self._limit:
            self.channel.refuse(early_refusal.LARGE_BODY)
        elif not self._share.grow(total):
            self.channel.refuse(early_refusal.MANY_BODIES)
        else:
            return True
        return False

    def handleContentChunk(self, data: bytes) -> None:
        self._pieces.append(data)  # no more than one read brings, see `pass_on`

    def pass_on(self) -> None:
        """Hands the application all that one read has brought, as one message."""
        body, self._pieces = b"".join(self._pieces), []
        if not body or self.is_over or self.application_queue is None:
            return
        self._received += len(body)
        if not self._has_room(self._received):
            return
        self._expects = False
        self._queued_bytes += len(body)
        self._put(body, more=True)
        if self._queued_bytes > bounds.QUEUED_BYTES:
            self.channel.pause_body()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Called when the body is complete."""
        self.pass_on()
        if self.is_over:
            return
        if self.application_queue is not None:
            self._put(b"", more=False)
        else:
            self._become_websocket()

    def connectionLost(self, reason: Any) -> None:
        self._leave()
        internals.Request.connectionLost(self, reason)

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
        if self._queued_bytes <= bounds.QUEUED_BYTES and not self.is_over:
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

    def detach(self, send: Any) -> Detached | None:
        """The extension `relay.detach`. `send` has to be this request's: no middleware sees the response."""
        if getattr(send, "__self__", None) is not self or self.is_over or self._response_started:
            return None
        detached = take_connection(self)
        if detached is not None:
            self.abandon()
        return detached

    def _application_done(self, application: "asyncio.Future[None]") -> None:
        self.server.connections.pop(self, None)
        tasks.report_failure(application)
        if self.is_over:
            return
        if self._response_started:
            self.channel.cut()
        elif application.cancelled():
            self.channel.refuse(early_refusal.STOPPING)
        else:
            self.channel.refuse(early_refusal.FAILED)

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
