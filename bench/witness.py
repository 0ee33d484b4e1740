"""A stream that records the id of every message, for other streams to resume from."""

import socket

from bench import interrupt
from bench.closing import Closing
from bench.errors import BenchError
from bench.wire import ChunkedBody, PlainBody, message_ids, read_head

READ_BYTES = 64 * 1024
PATIENCE_SECONDS = 10.0


class Witness(Closing):
    """Opens a stream at construction. A context manager that closes its socket."""

    def __init__(self, address: tuple[str, int], path: str) -> None:
        host, port = address
        self._socket = socket.create_connection(address, timeout=PATIENCE_SECONDS)
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/event-stream\r\n\r\n".encode()
        )
        data = self._read()
        while (found := read_head(data)) is None:
            data += self._read()
        head, rest = found
        self._body = ChunkedBody() if head.chunked else PlainBody()
        self._events = self._body.feed(rest)

    def close(self) -> None:
        self._socket.close()

    def ids(self, count: int) -> list[bytes]:
        """Waits for the first `count` messages. Returns their ids. Raises BenchError."""
        while len(ids := message_ids(self._events)) < count:
            self._events += self._body.feed(self._read())
        return ids[:count]

    def _read(self) -> bytes:
        interrupt.check()
        try:
            data = self._socket.recv(READ_BYTES)
        except OSError as error:
            raise BenchError(f"a stream delivers no messages with ids: {error}") from None
        if not data:
            raise BenchError("a stream was closed before it delivered its messages")
        return data
