"""The response of a stream, written straight into a socket that is the stream's alone."""

import asyncio
import fcntl
import select
import socket
import struct
import termios
from collections.abc import Callable

from relay.feed.writer import Chunk
from relay.sockets.poller import Poller

WATCHED = getattr(select, "EPOLLRDHUP", 0)
"""What the client sends is never read. It stays in the kernel, where its receive window bounds it."""

GONE = (
    getattr(select, "EPOLLRDHUP", 0)
    | getattr(select, "EPOLLHUP", 0)
    | getattr(select, "EPOLLERR", 0)
)
WRITABLE = getattr(select, "EPOLLOUT", 0)

DROPPED_BYTES = 1024 * 1024
"""The most that is read from a client at the end, in order to be dropped."""

LAST_CHUNK = b"0\r\n\r\n"
"""The end of a chunked body (RFC 9112, section 7.1)."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing drops what is unsent and resets the connection (socket(7))."""


def _queued(sock: socket.socket) -> int:
    """Returns the bytes in the send queue of the kernel (tcp(7), SIOCOUTQ)."""
    queued = fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4)
    return int(struct.unpack("i", queued)[0])


def _nothing() -> None:
    pass


class SocketWriter:
    """A `Writer` on a non-blocking TCP socket, which it owns from now on.

    `head` is sent with the first chunk, or by `send_head`. What the kernel does not take of a chunk is
    the only buffer: a reference to the shared bytes, and an offset.
    """

    __slots__ = (
        "_chunked",
        "_ending",
        "_fd",
        "_head",
        "_offset",
        "_on_gone",
        "_on_ready",
        "_poller",
        "_socket",
        "_unsent",
    )

    def __init__(self, poller: Poller, sock: socket.socket, head: bytes, *, chunked: bool) -> None:
        self._poller = poller
        self._socket: socket.socket | None = sock
        self._fd = sock.fileno()
        self._head = head
        self._chunked = chunked
        self._unsent: bytes | None = None
        self._offset = 0
        self._ending = False
        self._on_ready: Callable[[], None] = _nothing
        self._on_gone: Callable[[], None] = _nothing
        poller.watch(self._fd, self, WATCHED)

    def on_gone(self, callback: Callable[[], None]) -> None:
        """Registers a callback for when the connection has ended, for whichever reason.

        It is called once, in a turn of the event loop of its own. Where the connection has ended already,
        that is the next one.
        """
        if self._socket is None:
            asyncio.get_running_loop().call_soon(callback)
        else:
            self._on_gone = callback

    def send_head(self) -> None:
        """Sends the head, unless it went out with a chunk."""
        if self._head:
            self._send(b"")

    # -- Writer

    def on_ready(self, callback: Callable[[], None]) -> None:
        self._on_ready = callback

    def send(self, chunk: Chunk) -> bool:
        return self._send(chunk.framed if self._chunked else chunk.body)

    def progress(self) -> object:
        if self._socket is None:
            return None
        return _queued(self._socket), self._offset

    def waiting_bytes(self) -> int:
        """With what the kernel has sent and the client has not confirmed."""
        if self._socket is None:
            return 0
        unsent = 0 if self._unsent is None else len(self._unsent) - self._offset
        return unsent + _queued(self._socket)

    def peer(self) -> str:
        try:
            return str(self._socket.getpeername()[0]) if self._socket is not None else ""
        except (OSError, IndexError):  # it has just ended, or is a Unix socket
            return ""

    def finish(self, chunk: Chunk) -> None:
        if self._socket is not None and not self._ending:
            self._ending = True
            end = chunk.framed + LAST_CHUNK if self._chunked else chunk.body
            if self._send(end):
                self._close_properly()

    def abort(self) -> None:
        if self._socket is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self._close()

    # -- the socket

    def _send(self, data: bytes) -> bool:
        """Returns whether all of it went out."""
        if self._socket is None:
            return False
        if self._head:
            data, self._head = self._head + data, b""
        if (
            self._unsent is not None
        ):  # only the end, or a part of the past: nothing live comes while full
            self._unsent, self._offset = self._unsent[self._offset :] + data, 0
            return False
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close()
            return False
        if sent == len(data):
            return True
        self._unsent, self._offset = data, sent
        self._poller.change(self._fd, WATCHED | WRITABLE)
        return False

    def on_event(self, mask: int) -> None:
        """Called by the poller."""
        if mask & GONE:
            self._close()
        elif self._unsent is not None:
            self._send_rest()

    def _send_rest(self) -> None:
        assert self._socket is not None
        assert self._unsent is not None
        try:
            self._offset += self._socket.send(memoryview(self._unsent)[self._offset :])
        except BlockingIOError:
            return
        except OSError:
            self._close()
            return
        if self._offset < len(self._unsent):
            return
        self._unsent, self._offset = None, 0
        if self._ending:
            self._close_properly()
        else:
            self._poller.change(self._fd, WATCHED)
            self._on_ready()

    def _close_properly(self) -> None:
        """Closes after the end was sent. Unread bytes would make the kernel reset the connection, and a
        reset may destroy the end on its way."""
        assert self._socket is not None
        left = DROPPED_BYTES
        try:
            while left > 0 and (dropped := len(self._socket.recv(65_536))):
                left -= dropped
        except OSError:
            pass
        self._close()

    def _close(self) -> None:
        if self._socket is None:
            return
        self._poller.forget(self._fd)
        self._socket.close()
        self._socket = self._unsent = None
        self._head = b""
        callback, self._on_gone = self._on_gone, _nothing
        self._on_ready = _nothing
        if callback is not _nothing:
            asyncio.get_running_loop().call_soon(callback)
