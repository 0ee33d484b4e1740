"""A server that sends the benchmark's client exactly what a test says, and a crowd on it."""

import socket
import time
from collections.abc import Callable

from bench.client import Crowd
from bench.ledger import Ledger, Tally
from bench.loop import READABLE, Loop

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
RETRY = b"retry: 2000\n\n"

STYLES: dict[str, Callable[[bytes, int], bytes]] = {
    "data alone": lambda payload, n: b"data: %b\n\n" % payload,
    "id after data": lambda payload, n: b"data: %b\nid: 1732400000000-%d\n\n" % (payload, n),
    "id before data": lambda payload, n: b"id: 1732400000:%d\ndata: %b\n\n" % (n, payload),
    "with an event name": lambda payload, n: b"event: message\ndata: %b\n\n" % payload,
}


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


class FakeServer:
    """Opens streams on request, and sends exactly the bytes it is told to."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1", self.listener.getsockname()[1]
        self.streams: list[socket.socket] = []
        self.head = HEAD + chunk(RETRY)
        self.requests: list[bytes] = []
        loop.add(self.listener.fileno(), READABLE, self.accept)

    def accept(self, mask: int) -> None:
        stream, _ = self.listener.accept()
        self.streams.append(stream)
        self.loop.add(stream.fileno(), READABLE, lambda mask: self.answer(stream))

    def answer(self, stream: socket.socket) -> None:
        self.loop.remove(stream.fileno())
        self.requests.append(stream.recv(10_000))
        assert self.requests[-1].startswith(b"GET /stream/ HTTP/1.1\r\n")
        stream.sendall(self.head)

    def close(self) -> None:
        for thing in (*self.streams, self.listener):
            thing.close()


class Stage:
    """A crowd of three streams on a fake server, and ten messages to come."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.server = FakeServer(loop)
        self.crowd = Crowd(loop, self.server.address, "/stream/")

    def open(self) -> list[bytes]:
        """Returns the frames that every stream should get."""
        self.crowd.open(3, 5)
        self.ledger = Ledger(7)
        self.crowd.expect(self.ledger)
        payloads = [self.ledger.payload(time.perf_counter_ns()) for _ in range(10)]
        return [STYLES["id after data"](payload, n) for n, payload in enumerate(payloads)]

    def send(self, *bodies: bytes) -> None:
        """What each stream gets, already in chunks."""
        for stream, body in zip(self.server.streams, bodies, strict=True):
            stream.sendall(body)

    def tally(self) -> Tally:
        deadline = time.perf_counter() + 5
        while self.loop.turn(0.05):
            assert time.perf_counter() < deadline
        return self.crowd.check()


def chunks(frames: list[bytes]) -> bytes:
    return b"".join(map(chunk, frames))
