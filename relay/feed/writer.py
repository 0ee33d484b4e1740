"""One client's connection as the fan-out sees it: it takes bytes until it is full."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable


class Chunk:
    """Bytes of a response body, shared by all clients that are sent them.

    `framed` is the body as one HTTP/1.1 chunk (RFC 9112, section 7.1), encoded once for all clients.
    """

    __slots__ = ("body", "framed")

    def __init__(self, body: bytes) -> None:
        self.body = body
        # an empty chunk would end the response
        self.framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""


class Writer(Protocol):
    """A connection that takes chunks. No method awaits or raises because the client has disconnected."""

    def on_ready(self, callback: Callable[[], None]) -> None:
        """Registers a callback for whenever a full writer is ready again. Called once, before `send`."""

    def send(self, chunk: Chunk) -> bool:
        """Takes the chunk. Returns False when the writer is full: send no more until it is ready."""

    def progress(self) -> object:
        """Returns a value that changes whenever the client has taken something."""

    def finish(self, chunk: Chunk) -> None:
        """Sends the last chunk and ends the response properly."""

    def abort(self) -> None:
        """Cuts the connection and drops what is still buffered."""


@runtime_checkable
class Observed(Protocol):
    """What a writer may know of its connection, for operators."""

    def waiting_bytes(self) -> int:
        """Returns the bytes that the client has not taken yet, as far as the writer knows."""

    def peer(self) -> str:
        """Returns the address at the other end; empty if it is unknown."""
