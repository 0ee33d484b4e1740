"""Writes straight into Daphne's sockets.

A small write by Daphne's `send` costs several times as much as the system call. Here a chunk that
finds nothing buffered goes to the socket at once, and only the rest of a short write is buffered.
Twisted's flow control (IPushProducer: pause at `buffer_bytes`, resume when empty) reports that the
client is behind.
"""

import fcntl
import struct
import termios
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.tcp import Server
from zope.interface import implementer

from relay.feed.writer import Chunk
from relay.types import Send


def daphne_request(send: Send) -> Any:
    """Returns Daphne's request behind an ASGI `send`, or None unless chunks can go to its socket.

    They cannot on another server, behind middleware that wraps `send`, over TLS, after the request was
    answered, or without its client.
    """
    request = getattr(send, "__self__", None)
    channel = getattr(request, "channel", None)
    transport = getattr(channel, "transport", None)
    if not isinstance(transport, Server) or transport.TLS or not transport.connected:
        return None
    return request


@implementer(IPushProducer)
class DaphneWriter:
    """A response on a plain TCP connection whose headers have been sent."""

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
        self._buffered = True  # Twisted may hold bytes that must go first
        self._chunked = bool(request.chunked)
        self._ready: Callable[[], None] | None = None
        self._paused = False
        self._gone = False
        request.registerProducer(self, True)

    async def run(self, client_gone: Coroutine[Any, Any, None]) -> None:
        """Waits for the client to leave. Twisted does the sending."""
        await client_gone

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
            self._request.channel.persistent = (
                False  # `abort` must work if the client does not read
            )
            self._request.finish()

    def abort(self) -> None:
        self._paused = True
        self._transport.abortConnection()

    def _is_buffered(self) -> bool:
        transport = self._transport
        self._buffered = bool(transport.dataBuffer or transport._tempDataLen)
        return self._buffered

    # -- IPushProducer: Twisted reports how full its buffer is

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        if self._ready:
            self._ready()

    def stopProducing(self) -> None:
        self._paused = self._gone = True
