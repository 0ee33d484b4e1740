"""Writes straight into Daphne's sockets.

Daphne's own `send` never suspends, and Twisted buffers without bound behind it; and a small write
costs several times what the system call does. Here a chunk that finds nothing buffered goes to the
socket at once, only the rest of a short write is buffered, and Twisted's flow control
(IPushProducer: pause at `buffer_bytes`, resume when empty) says when the client is full.
"""

import fcntl
import struct
import termios
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.tcp import Server
from zope.interface import implementer

from relay.feed.writer import Chunk
from relay.types import Send


def daphne_request(send: Send) -> Any:
    """Daphne's request behind an ASGI `send`, or None where a chunk cannot go straight to a socket.

    That is: on another server, over TLS, and when the request is answered or its client gone.
    """
    args = getattr(send, "args", ())
    request = args[0] if args else None
    channel = getattr(request, "channel", None)
    transport = getattr(channel, "transport", None)
    if not isinstance(transport, Server) or transport.TLS or not transport.connected:
        return None
    return request


@implementer(IPushProducer)
class DaphneWriter:
    """A response that has been started, with its headers sent, on a plain TCP connection."""

    __slots__ = (
        "_buffered",
        "_chunked",
        "_gone",
        "_paused",
        "_ready",
        "_request",
        "_send_now",
        "_socket",
        "_transport",
    )

    def __init__(self, request: Any, buffer_bytes: int) -> None:
        self._request = request
        self._transport: Server = request.channel.transport
        self._transport.bufferSize = buffer_bytes
        self._socket = self._transport.socket
        self._send_now = self._socket.send
        self._buffered = True  # Twisted may have something that must go first
        self._chunked = bool(request.chunked)
        self._ready: Callable[[], None] | None = None
        self._paused = False
        self._gone = False
        request.registerProducer(self, True)

    # -- Writer

    def on_ready(self, callback: Callable[[], None]) -> None:
        self._ready = callback

    def send(self, chunk: Chunk) -> bool:
        data = chunk.framed if self._chunked else chunk.body
        if self._buffered and self._is_buffered():
            self._transport.write(data)
            return not self._paused
        try:
            sent = self._send_now(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.abort()
            return False
        if sent < len(data):
            self._buffered = True
            self._transport.write(data[sent:])
        return not self._paused

    def progress(self) -> object:
        if self._gone:
            return None
        unsent = struct.unpack("i", fcntl.ioctl(self._socket, termios.TIOCOUTQ, b"\0" * 4))[0]
        return unsent, self._transport.offset, len(self._transport.dataBuffer)

    def finish(self, chunk: Chunk) -> None:
        if not self._gone:
            self._gone = True
            self._transport.write(chunk.framed if self._chunked else chunk.body)
            self._request.unregisterProducer()
            self._request.channel.persistent = False  # the client may not read: `abort` must hit it
            self._request.finish()

    def abort(self) -> None:
        self._paused = True
        self._transport.abortConnection()

    def _is_buffered(self) -> bool:
        transport = self._transport
        self._buffered = bool(transport.dataBuffer or transport._tempDataLen)
        return self._buffered

    # -- IPushProducer: Twisted says how full its buffer is

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        if self._ready:
            self._ready()

    def stopProducing(self) -> None:
        self._paused = self._gone = True
