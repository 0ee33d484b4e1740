"""A proxy before the hub that cuts, stalls, holds back, or answers by itself."""

import contextlib
import random
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from http import HTTPStatus

import pytest

from tests.support.forwarder import Forwarder
from tests.support.servers import HubProcess, StartHub
from tests.support.tokens import TOKEN_KEY
from tests.support.waiting import repeating


class Proxy(Forwarder):
    """`url` is the hub as a client behind the proxy sees it."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.url = f"http://127.0.0.1:{self.port}"
        self.status: int | None = None
        """What every new connection is answered, instead of being passed on."""
        self.answers = 0
        """The number of connections that were answered so, and are not passed on."""
        self.fields = ""
        """Header lines of that answer, each with its CRLF."""
        self.stalls = False
        """Whether what comes is dropped without a word."""
        self.hold_seconds = 0.0
        """The longest that a piece is held back. Pieces are then cut anywhere."""

    def cutting(self, every_seconds: float) -> AbstractContextManager[None]:
        """Inside, all connections are reset again and again."""
        return repeating(self.reset, every_seconds)

    def _answered(self, client: socket.socket) -> bool:
        if (number := self.status) is None:  # which may change at any time
            return False
        self.answers += 1
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


@pytest.fixture
def client_hub(start_hub: StartHub) -> HubProcess:
    """A hub for the tests of clients: it is quick to be asked again, and to send heartbeats."""
    return start_hub(
        RELAY_RETRY_MS=100,
        RELAY_HEARTBEAT_SECONDS=0.4,
        DJANGO_SETTINGS_MODULE="tests.support.client_settings",
        RELAY_TOKEN_KEY=TOKEN_KEY,
    )


@pytest.fixture
def proxy(hub: HubProcess) -> Iterator[Proxy]:
    with Proxy(hub.port) as proxy:
        yield proxy
