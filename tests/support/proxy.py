"""A proxy before the hub that cuts, stalls, holds back, or answers by itself."""

import contextlib
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from tests.support.forwarder import Forwarder


class Proxy(Forwarder):
    """`url` is the hub as a client behind the proxy sees it."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.url = f"http://127.0.0.1:{self.port}"
        self.status: int | None = None
        """What every new connection is answered, instead of being passed on."""
        self.fields = ""
        """Header lines of that answer, each with its CRLF."""
        self.stalls = False
        """Whether what comes is dropped without a word."""
        self.hold_seconds = 0.0
        """The longest that a piece is held back. Pieces are then cut anywhere."""

    @contextmanager
    def cutting(self, every_seconds: float) -> Iterator[None]:
        """Inside, all connections are reset again and again."""
        ended = threading.Event()

        def cut() -> None:
            while not ended.wait(every_seconds):
                self.reset()

        cutter = threading.Thread(target=cut, daemon=True)
        cutter.start()
        try:
            yield
        finally:
            ended.set()
            cutter.join(10)

    def _answered(self, client: socket.socket) -> bool:
        if (number := self.status) is None:  # which may change at any time
            return False
        with contextlib.suppress(OSError):
            client.recv(65_536)
            status = HTTPStatus(number)
            head = f"HTTP/1.1 {number} {status.phrase}\r\nContent-Type: text/html\r\n{self.fields}"
            client.sendall(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
            client.shutdown(socket.SHUT_WR)
        return True

    def _pass(self, source: socket.socket, sink: socket.socket, data: bytes) -> None:
        while data and not self.stalls:
            number = len(data)
            if self.hold_seconds:
                number = random.randint(1, number)
                time.sleep(random.uniform(0, self.hold_seconds))
            sink.sendall(data[:number])
            data = data[number:]
