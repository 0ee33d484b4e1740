"""One connection: request heads and bodies within bounds of size and time.

Where this diverges from Twisted's HTTPChannel, and why:

* A request begins when its head is complete, so that its path decides about its body.
* A head has a deadline in all, and a body must keep coming. Twisted counts from the last byte.
* A refusal is complete, and what the client still sends is dropped for a moment, so that it is read.
* A folded field, a length that is no number, and a coding other than chunked are 400.
* One read is small, so that no parser has more than a few milliseconds of work at once.
"""

from enum import Enum, auto
from typing import Any

from relay.http import early_refusal
from relay.http.early_refusal import Refusal
from relay.server import bounds, internals
from relay.server.deadline import Deadline
from relay.server.drain import Drain
from relay.server.request import HubRequest
from relay.server.target import is_refused_field


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
        self._deadline = Deadline()
        self._over = False
        self._brought = 0
        self._body_paused = False
        self._unsent: object = None
        self._drain = Drain()

    # -- the connection

    def connectionMade(self) -> None:
        super().connectionMade()
        internals.read_at_most(self.transport, bounds.READ_BYTES)
        self.factory.began_to_wait(self)
        self._deadline.set(bounds.HEAD_SECONDS, self._head_is_late)

    def connectionLost(self, reason: Any) -> None:
        self.release()
        super().connectionLost(reason)

    def release(self) -> None:
        """Ends all bookkeeping: the connection is lost, or another protocol has it."""
        self._over = True
        self.factory.ended_to_wait(self)
        self._deadline.cancel()
        self._drain.wake()

    def loseConnection(self) -> None:
        super().loseConnection()
        self._deadline.set(bounds.CLOSE_SECONDS, self.transport.abortConnection)

    def close_if_idle(self) -> None:
        """Closes a kept connection on which no request has begun."""
        if self._phase is Phase.WAITING and self._deadline.calls(self._idle_is_over):
            self.loseConnection()

    def cut(self) -> None:
        """Closes the connection at once; what is buffered is dropped."""
        self.transport.abortConnection()

    def refuse(self, refusal: Refusal) -> None:
        """Answers, and closes the connection."""
        if self._over:
            return
        begun = any(request.startedWriting for request in self.requests)
        for request in self.requests:
            request.abandon()
        if begun:
            self.cut()
            return
        self.transport.write(refusal.response())
        self._linger()

    def _linger(self) -> None:
        self._over = True
        self.clearLineBuffer()
        self._networkProducer.resumeProducing()
        if hasattr(self.transport, "loseWriteConnection"):
            self.transport.loseWriteConnection()
        self._deadline.set(bounds.LINGER_SECONDS, self.transport.abortConnection)

    # -- time

    def _head_is_late(self) -> None:
        if self._phase is Phase.WAITING:  # not one byte: nobody waits for an answer
            self.loseConnection()
        else:
            self.refuse(early_refusal.LATE_HEAD)

    def _idle_is_over(self) -> None:
        """Closes, unless the client is still taking the last response."""
        before, self._unsent = self._unsent, internals.unsent(self.transport)
        if self._waitingForTransport and self._unsent != before:
            self._deadline.set(bounds.IDLE_SECONDS, self._idle_is_over)
        else:
            self.loseConnection()

    def _body_is_due(self) -> None:
        if self._brought < bounds.BODY_BYTES and not self._body_paused:
            self.refuse(early_refusal.LATE_BODY)
        else:
            self._brought = 0
            self._deadline.set(bounds.BODY_SECONDS, self._body_is_due)

    # -- the head

    def dataReceived(self, data: bytes) -> None:
        if self._over:
            return
        if self._phase is Phase.WAITING:
            self._phase = Phase.HEAD
            self._deadline.set(bounds.HEAD_SECONDS, self._head_is_late)
        super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        if self._receivedHeaderSize + len(line) > self.totalHeadersSize:
            self.lineLengthExceeded(line)
        elif line[:1] in {b" ", b"\t"}:
            self.refuse(early_refusal.FOLDED)
        else:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        self.refuse(early_refusal.LARGE_HEAD)

    def headerReceived(self, line: bytes) -> bool:
        name, _colon, value = line.partition(b":")
        if is_refused_field(name.lower(), value.strip(b" \t"), self._version):
            self.refuse(early_refusal.BAD_FIELD)
            return False
        return bool(super().headerReceived(line))

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.refuse(early_refusal.UNREADABLE)

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
            self._deadline.cancel()
        else:
            self._deadline.set(bounds.BODY_SECONDS, self._body_is_due)
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
            self._deadline.cancel()
            self._phase = Phase.ANSWER
            super().allContentReceived()

    def pause_body(self) -> None:
        self._body_paused = True
        self._networkProducer.pauseProducing()

    def resume_body(self) -> None:
        if self._body_paused:
            self._body_paused, self._brought = False, bounds.BODY_BYTES
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
            self._deadline.set(bounds.IDLE_SECONDS, self._idle_is_over)
        super().requestDone(request)

    def resumeProducing(self) -> None:
        super().resumeProducing()
        self._drain.wake()

    async def drained(self) -> None:
        """Returns when the client has taken what is buffered. Cuts one that takes nothing."""
        while self._waitingForTransport and not self._over:
            before = internals.unsent(self.transport)
            moved = await self._drain.wait(bounds.STALL_SECONDS)
            if not moved and internals.unsent(self.transport) == before:
                self.cut()
                return
