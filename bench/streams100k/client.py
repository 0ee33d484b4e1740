"""A client process: thousands of streams, each as an `EventSource` would keep it.

It does what its parent tells it over a Unix socket, a line of JSON at a time (`talk.py`).
"""

import heapq
import os
import resource
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable

from bench import interrupt
from bench.closing import Closing
from bench.loop import READABLE, WRITABLE, Loop
from bench.streams100k.events import NOWHERE, Position, decode, position
from bench.streams100k.talk import Order, Orders, Report, report_line
from bench.wire import WireError, read_head

IN_FLIGHT = 200
"""How many streams a process opens at once at first. Later each comes back when it is time."""

STREAMS_PER_ADDRESS = 1_000
"""How many streams share a source address: far fewer than there are ports."""

IP_BIND_ADDRESS_NO_PORT = 24
"""The kernel chooses the port when it knows the destination (ip(7)); Python has no name for it yet."""

RETRY_MS = 3_000
"""The pause of an EventSource that was told none."""

READ_BYTES = 64 * 1024
LOOK_SECONDS = 0.05


class Stream:
    """One stream over all its connections. It expects the messages 0, 1, 2 … once each."""

    __slots__ = (
        "_crowd",
        "_last_id",
        "_next",
        "_number",
        "_position",
        "_rest",
        "_retry_ms",
        "_socket",
    )

    def __init__(self, crowd: "Crowd", number: int) -> None:
        self._crowd = crowd
        self._number = number
        self._socket: socket.socket | None = None
        self._last_id = b""
        self._position: Position = NOWHERE
        self._next = 0
        self._retry_ms = RETRY_MS
        self._rest = b""

    def close(self) -> None:
        if self._socket is not None:
            self._drop()

    def connect(self) -> None:
        sock = self._socket = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        try:
            sock.bind((self._crowd.source(self._number), 0))
            sock.connect(self._crowd.address)
        except BlockingIOError:
            pass
        except OSError as error:
            sock.close()
            self._socket = None
            self._crowd.not_connected(self, os.strerror(error.errno or 0))
            return
        self._crowd.loop.add(sock.fileno(), WRITABLE, self._request)

    @property
    def retry_seconds(self) -> float:
        return self._retry_ms / 1000

    @property
    def begun(self) -> bool:
        """Whether it could come back without a loss."""
        return bool(self._last_id)

    def missing(self, published: int) -> int:
        """Returns how many of the first `published` messages it has not received in its turn."""
        return max(published - self._next, 0)

    def _request(self, mask: int) -> None:
        assert self._socket is not None
        if error := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._drop()
            self._crowd.not_connected(self, os.strerror(error))
            return
        try:
            self._socket.send(self._crowd.request(self._last_id))
        except OSError as failure:
            self._drop()
            self._crowd.not_connected(self, os.strerror(failure.errno or 0))
            return
        self._crowd.loop.change(self._socket.fileno(), READABLE)
        self._crowd.loop.handle(self._socket.fileno(), self._read_head)

    def _read_head(self, mask: int) -> None:
        assert self._socket is not None
        data = self._receive()
        if data is None:
            return
        try:
            found = read_head(self._rest + data)
        except WireError:
            found = None
            data = b""
        if not data:
            self._drop()
            self._crowd.not_connected(self, "closed before the head of an answer")
        elif not found:
            self._rest += data
        elif found[0].status != 200 or not found[0].chunked:
            self._drop()
            self._crowd.refused(self, found[0].status)
        else:
            self._rest = b""
            self._crowd.opened()
            self._crowd.loop.handle(self._socket.fileno(), self._read)
            if found[1]:
                self._take(found[1])

    def _read(self, mask: int) -> None:
        data = self._receive()
        if data is None:
            return
        if data:
            self._take(data)
            return
        self._drop()
        self._crowd.ended(self, properly=False)

    def _take(self, data: bytes) -> None:
        piece = decode(self._rest + data if self._rest else data)
        self._rest = piece.rest
        for number, where in zip(piece.numbers, piece.positions, strict=True):
            self._crowd.received(number, self._next, grown=where > self._position)
            self._next = max(number + 1, self._next)
            self._position = where
        if piece.retry_ms is not None:
            self._retry_ms = piece.retry_ms
        if piece.last_id:
            if not self._last_id:
                self._crowd.begun()
                self._position = position(piece.last_id)
            self._last_id = piece.last_id
        if piece.corrupt or piece.notices:
            self._crowd.odd(piece.corrupt, piece.notices)
        if piece.ended:
            self._drop()
            self._crowd.ended(self, properly=True)

    def _receive(self) -> bytes | None:
        """Returns None if there is nothing to read after all, and no bytes at the end."""
        assert self._socket is not None
        try:
            return self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def _drop(self) -> None:
        assert self._socket is not None
        self._crowd.loop.remove(self._socket.fileno())
        self._socket.close()
        self._socket = None
        self._rest = b""


class Crowd(Closing):
    """The streams of a process, and the count of what happens to them."""

    def __init__(self, loop: Loop, orders: Orders) -> None:
        self.loop = loop
        self.address = "127.0.0.1", orders.port
        self._process = orders.process
        self._unopened = deque(Stream(self, number) for number in range(orders.streams))
        self._streams = [*self._unopened]
        self._rate = orders.streams_per_second
        self._next_at = time.monotonic()
        self._waiting: list[tuple[float, int, Stream]] = []
        self._sequence = 0
        self._connecting = 0
        self._leaving = False
        self._report = Report()
        self._counts: Counter[int] = Counter()
        self._last_reads: dict[int, float] = {}
        self._strange: Counter[str] = Counter()
        host = f"127.0.0.1:{orders.port}"
        self._head = (
            f"GET /stream/ HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n"
            "Cache-Control: no-cache\r\n"
        ).encode()

    def close(self) -> None:
        for stream in self._streams:
            stream.close()

    def source(self, number: int) -> str:
        """Returns the address from which a stream connects."""
        return f"127.{10 + self._process}.0.{1 + number // STREAMS_PER_ADDRESS}"

    def request(self, last_id: bytes) -> bytes:
        if not last_id:
            return self._head + b"\r\n"
        return b"%bLast-Event-ID: %b\r\n\r\n" % (self._head, last_id)

    def leave(self) -> None:
        """From now on a stream that ends does not come back."""
        self._leaving = True
        self._waiting.clear()

    def connect_due(self) -> float:
        """Connects whoever may. Returns in how many seconds the next one may."""
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            self._connect(heapq.heappop(self._waiting)[2])
        while self._unopened and self._connecting < IN_FLIGHT and self._next_at <= now:
            self._next_at = max(self._next_at + 1 / self._rate, now - LOOK_SECONDS)
            self._connect(self._unopened.popleft())
        due = [now + LOOK_SECONDS]
        due += [self._waiting[0][0]] if self._waiting else []
        due += [self._next_at] if self._unopened and self._connecting < IN_FLIGHT else []
        return max(min(due) - now, 0.0)

    def report(self, published: int) -> Report:
        self._report.received = {n: (c, self._last_reads[n]) for n, c in self._counts.items()}
        self._report.missing = sum(stream.missing(published) for stream in self._streams)
        self._report.strange = dict(self._strange)
        return self._report

    # -- what the streams say

    def opened(self) -> None:
        self._connecting -= 1
        self._report.open += 1
        self._report.opened += 1
        self._report.last_opened_at = time.monotonic()

    def begun(self) -> None:
        self._report.begun += 1

    def not_connected(self, stream: Stream, reason: str) -> None:
        self._connecting -= 1
        self._report.failed += 1
        self._strange[reason] += not self._leaving
        self._come_back(stream)

    def refused(self, stream: Stream, status: int) -> None:
        """An EventSource gives up after any status but 200, so this is a fault."""
        self._connecting -= 1
        self._report.refused += 1
        self._strange[f"status {status}"] += 1
        self._come_back(stream)

    def ended(self, stream: Stream, *, properly: bool) -> None:
        self._report.open -= 1
        if properly:
            self._report.ended += 1
        else:
            self._report.cut += 1
        self._come_back(stream)

    def received(self, number: int, expected: int, *, grown: bool) -> None:
        self._report.lost += max(number - expected, 0)
        self._report.doubled += number < expected
        self._report.disordered += not grown
        self._counts[number] += 1
        self._last_reads[number] = time.monotonic()

    def odd(self, corrupt: int, notices: tuple[bytes, ...]) -> None:
        self._report.corrupt += corrupt
        self._report.gaps += len(notices)
        for notice in notices:
            self._strange[notice.decode(errors="replace")[:200]] += 1

    def _come_back(self, stream: Stream) -> None:
        if self._leaving:
            return
        self._sequence += 1
        due = time.monotonic() + stream.retry_seconds
        heapq.heappush(self._waiting, (due, self._sequence, stream))

    def _connect(self, stream: Stream) -> None:
        self._connecting += 1
        stream.connect()


class Parent:
    """The parent's orders, read in the loop of the streams."""

    def __init__(self, loop: Loop, link: socket.socket, crowd: Crowd) -> None:
        self.gone = False
        self._link = link
        self._crowd = crowd
        self._rest = b""
        self._does: dict[Order, Callable[[int], None]] = {
            Order.REPORT: self._report,
            Order.LEAVE: self._leave,
        }
        loop.add(link.fileno(), READABLE, self._read)

    def _read(self, mask: int) -> None:
        data = self._link.recv(READ_BYTES)
        self.gone = not data
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            name, _, value = line.decode().partition(" ")
            self._does[Order(name)](int(value or 0))

    def _report(self, published: int) -> None:
        self._link.sendall(report_line(self._crowd.report(published)))

    def _leave(self, _: int) -> None:
        self._crowd.leave()


def main(descriptor: int, orders: Orders) -> int:
    interrupt.install()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with socket.socket(fileno=descriptor) as link, Loop() as loop, Crowd(loop, orders) as crowd:
        parent = Parent(loop, link, crowd)
        try:
            while not parent.gone:
                loop.turn(crowd.connect_due())
        except interrupt.Interrupted as interrupted:
            return interrupted.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Orders.of(sys.argv[2])))
