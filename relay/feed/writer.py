"""One client's connection, as the fan-out sees it: bytes go in until it is full."""

from collections.abc import Callable
from typing import Protocol


class Chunk:
    """Bytes for a response body, shared by every client that gets them.

    `framed` is the same as one HTTP/1.1 chunk (RFC 9112, section 7.1), made once for all of them.
    """

    __slots__ = ("body", "framed")

    def __init__(self, body: bytes) -> None:
        self.body = body
        # an empty chunk would end the response
        self.framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""


class Writer(Protocol):
    """A connection that takes chunks. No method awaits, and none raises because the client is gone."""

    def on_ready(self, callback: Callable[[], None]) -> None:
        """Has `callback` called whenever a full writer takes chunks again. Called once, at first."""

    def send(self, chunk: Chunk) -> bool:
        """Takes the chunk in any case. False: the client is behind, send no more until it is ready."""

    def progress(self) -> object:
        """A value that changes whenever the client's side has taken something."""

    def finish(self, chunk: Chunk) -> None:
        """Sends the last chunk and ends the response properly."""

    def abort(self) -> None:
        """Cuts the connection; what is still buffered is dropped."""
