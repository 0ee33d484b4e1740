"""One connection: request heads and bodies within bounds of size and time.

Where this diverges from Twisted's HTTPChannel, and why:

* A request begins when its head is complete, so that its path decides about its body.
* A head has a deadline in all, and a body must keep coming. Twisted counts from the last byte.
* A refusal is complete, and what the client still sends is dropped for a moment, so that it is read.
* A folded field, a length that is no number, and a coding other than chunked are 400.
* One read is small, so that no parser has more than a few milliseconds of work at once.
"""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

from django.utils.translation import gettext_lazy as _

from relay.access.problem import Problem
from relay.http.answer import Answer
from relay.server import internals
from relay.server.request import HubRequest

HEAD_SECONDS = 30.0
"""For a whole head, and for the first byte of a new connection."""

IDLE_SECONDS = 60.0
"""For the next request of a connection that is kept."""

BODY_SECONDS = 30.0
BODY_BYTES = 32 * 1024
"""What a body must bring in each such time, unless it ends."""

LINGER_SECONDS = 2.0
"""For the client to read a refusal while it still sends."""

CLOSE_SECONDS = 15.0
"""For what is buffered to leave, when the connection is to be closed."""

STALL_SECONDS = 60.0
"""For a client to take anything of a response that is not a stream."""

READ_BYTES = 8 * 1024
FIELD_NAME_BYTES = 256
"""Twisted keeps 10,000 names in a cache, whatever their length."""

LENGTH_DIGITS = 18


class Phase(Enum):
    WAITING = auto()
    HEAD = auto()
    BODY = auto()
    ANSWER = auto()


class HubChannel(internals.HTTPChannel):  # type: ignore[misc]
    """A connection of the server's factory, `owner`."""

    requestFactory = HubRequest

    def __init__(self, owner: Any) -> None:
        super().__init__()
        self.factory = owner
        self._dataBuffer: list[bytes] = []
        self._phase = Phase.WAITING
        self._timer: Any = None
        self._over = False
        self._brought = 0
        self._body_paused = False
        self._unsent: object = None
        self._drained: asyncio.Future[None] | None = None

    # -- the connection

    def connectionMade(self) -> None:
        super().connectionMade()
        internals.read_at_most(self.transport, READ_BYTES)
        self.factory.began_to_wait(self)
        self._in(HEAD_SECONDS, self._head_is_late)

    def connectionLost(self, reason: Any) -> None:
        self.release()
        super().connectionLost(reason)

    def release(self) -> None:
        """Ends all bookkeeping: the connection is lost, or another protocol has it."""
        self._over = True
        self.factory.ended_to_wait(self)
        self._in(None)
        self._wake()

    def loseConnection(self) -> None:
        super().loseConnection()
        self._in(CLOSE_SECONDS, self.transport.abortConnection)

    def close_if_idle(self) -> None:
        """Closes a kept connection on which no request has begun."""
        if self._phase is Phase.WAITING and self._timer_is(self._idle_is_over):
            self.loseConnection()

    def cut(self) -> None:
        """Closes the connection at once; what is buffered is dropped."""
        self.transport.abortConnection()

    def refuse(self, status: int, detail: object) -> None:
        """Answers with a problem, and closes the connection."""
        if self._over:
            return
        begun = any(request.startedWriting for request in self.requests)
        for request in self.requests:
            request.abandon()
        if begun:
            self.cut()
            return
        self.transport.write(_refusal(status, detail))
        self._linger()

    def _linger(self) -> None:
        self._over = True
        self.clearLineBuffer()
        self._networkProducer.resumeProducing()
        if hasattr(self.transport, "loseWriteConnection"):
            self.transport.loseWriteConnection()
        self._in(LINGER_SECONDS, self.transport.abortConnection)

    # -- time

    def _in(self, seconds: float | None, action: Callable[[], None] | None = None) -> None:
        """Replaces the one deadline of the connection."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if seconds is not None:
            self._timer = internals.reactor.callLater(seconds, action)

    def _timer_is(self, action: Callable[[], None]) -> bool:
        return self._timer is not None and self._timer.func == action

    def _head_is_late(self) -> None:
        if self._phase is Phase.WAITING:  # not one byte: nobody waits for an answer
            self.loseConnection()
        else:
            self.refuse(408, _("The head of the request did not come in time."))

    def _idle_is_over(self) -> None:
        """Closes, unless the client is still taking the last response."""
        before, self._unsent = self._unsent, internals.unsent(self.transport)
        if self._waitingForTransport and self._unsent != before:
            self._in(IDLE_SECONDS, self._idle_is_over)
        else:
            self.loseConnection()

    def _body_is_due(self) -> None:
        if self._brought < BODY_BYTES and not self._body_paused:
            self.refuse(408, _("The body of the request did not come in time."))
        else:
            self._brought = 0
            self._in(BODY_SECONDS, self._body_is_due)

    # -- the head

    def dataReceived(self, data: bytes) -> None:
        if self._over:
            return
        if self._phase is Phase.WAITING:
            self._phase = Phase.HEAD
            self._in(HEAD_SECONDS, self._head_is_late)
        super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        if self._receivedHeaderSize + len(line) > self.totalHeadersSize:
            self.lineLengthExceeded(line)
        elif line[:1] in {b" ", b"\t"}:
            self.refuse(400, _("A header field is folded (RFC 9112, section 5.2)."))
        else:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        self.refuse(431, _("The head of the request is too large."))

    def headerReceived(self, line: bytes) -> bool:
        name, _colon, value = line.partition(b":")
        if _is_refused_field(name.lower(), value.strip(b" \t"), self._version):
            self.refuse(400, _("A header field is not valid."))
            return False
        return bool(super().headerReceived(line))

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.refuse(400, _("The request cannot be read."))

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        if self.factory.stopping:
            request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
            return False
        return bool(super().checkPersistence(request, version))

    def allHeadersReceived(self) -> None:
        request = self.requests[-1]
        self.persistent = self.checkPersistence(request, self._version)
        self.factory.ended_to_wait(self)
        self._phase, self._brought = Phase.BODY, 0
        if self.length == 0:
            self._in(None)
        else:
            self._in(BODY_SECONDS, self._body_is_due)
        request.begin(self._command, self._path, self._version, self.length)

    # -- the body

    def rawDataReceived(self, data: bytes) -> None:
        if self._over:
            return
        self._brought += len(data)
        super().rawDataReceived(data)
        if self._phase is Phase.BODY and not self._over:
            self.requests[-1].pass_on()
        if len(self._dataBuffer) > 1:  # Twisted adds their lengths up for each piece
            self._dataBuffer = [b"".join(self._dataBuffer)]

    def allContentReceived(self) -> None:
        if not self._over:
            self._in(None)
            self._phase = Phase.ANSWER
            super().allContentReceived()

    def pause_body(self) -> None:
        self._body_paused = True
        self._networkProducer.pauseProducing()

    def resume_body(self) -> None:
        if self._body_paused:
            self._body_paused, self._brought = False, BODY_BYTES
            if not self._waitingForTransport:
                self._networkProducer.resumeProducing()

    def send_continue(self) -> None:
        """Asks for a body that the client holds back (RFC 9110, section 10.1.1)."""
        if not self._over and self._phase is Phase.BODY:
            self._send100Continue()

    # -- the response

    def requestDone(self, request: Any) -> None:
        if self._phase is Phase.BODY:  # answered before the body is complete
            self.requests.remove(request)
            self._linger()
            return
        if self.persistent:
            self._phase = Phase.WAITING
            self._unsent = None
            self.factory.began_to_wait(self)
            self._in(IDLE_SECONDS, self._idle_is_over)
        super().requestDone(request)

    def resumeProducing(self) -> None:
        super().resumeProducing()
        self._wake()

    async def drained(self) -> None:
        """Returns when the client has taken what is buffered. Cuts one that takes nothing."""
        while self._waitingForTransport and not self._over:
            before = internals.unsent(self.transport)
            self._drained = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._drained], timeout=STALL_SECONDS)
            if not self._drained.done() and internals.unsent(self.transport) == before:
                self.cut()
                return

    def _wake(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)


def _is_refused_field(name: bytes, value: bytes, version: bytes) -> bool:
    if name == b"content-length":
        return not value.isdigit() or len(value) > LENGTH_DIGITS
    if name == b"transfer-encoding":
        return value.lower() != b"chunked" or version != b"HTTP/1.1"
    return len(name) > FIELD_NAME_BYTES


def _refusal(status: int, detail: object) -> bytes:
    problem = Problem(status, detail, [(b"Connection", b"close")])
    if status == 503:
        problem = problem.with_headers([(b"Retry-After", b"1")])
    answer = Answer.refusal(problem)
    title = HTTPStatus(status).phrase.encode()
    fields = b"".join(b"%b: %b\r\n" % field for field in answer.headers)
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, title, fields, answer.body)
