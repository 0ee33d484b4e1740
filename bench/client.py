"""The load client: many streams on one thread, with every byte checked."""

import os
import socket
import struct
import time
from collections.abc import Mapping, Sequence

from bench import interrupt
from bench.closing import Closing
from bench.errors import BenchError
from bench.ledger import Ledger, Reception, Tally, tally
from bench.loop import READABLE, WRITABLE, Loop
from bench.tape import Tape
from bench.wire import (
    ChunkedBody,
    EventStream,
    PlainBody,
    Unwrap,
    WireError,
    as_it_is,
    read_head,
)

IN_FLIGHT = 256
"""How many streams are opened concurrently."""

HEAD_BYTES = 16 * 1024

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # no TIME_WAIT: the next phase needs the ports


class Stream:
    """One connection: opens a stream, then records every read on the crowd's tape."""

    def __init__(self, crowd: "Crowd", number: int) -> None:
        self._crowd = crowd
        self._number = number
        self._head = b""
        self._body: ChunkedBody | PlainBody = PlainBody()
        self._events = EventStream(crowd.unwrap)
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.reception = crowd.reception(number)
        self.broken = False

    def connect(self) -> None:
        error = self._socket.connect_ex(self._crowd.address)
        if error not in {0, 115}:  # EINPROGRESS
            self._fail(os.strerror(error))
        self._crowd.loop.add(self._socket.fileno(), WRITABLE, self._request)

    def check(self, now_ns: int, data: bytes) -> None:
        """Checks one read from the tape."""
        if self.broken:
            return
        self.reception.take(self._events.feed(self._body.feed(data)), now_ns)
        self.broken = self._body.ended

    def close(self) -> None:
        self._socket.close()

    def _request(self, mask: int) -> None:
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._fail(os.strerror(error))
        self._socket.send(self._crowd.request(self._number))
        self._crowd.loop.change(self._socket.fileno(), READABLE)
        self._crowd.loop.handle(self._socket.fileno(), self._read_head)

    def _read_head(self, mask: int) -> None:
        try:
            data = self._socket.recv(HEAD_BYTES)
            self._head += data
            found = read_head(self._head)
        except (OSError, WireError) as error:
            self._fail(str(error))
        if not data:
            self._fail("the connection was closed")
        if not found:
            return
        head, rest = found
        if head.status != 200:
            self._fail(f"status {head.status}")
        if head.chunked:
            self._body = ChunkedBody()
        self._head = b""
        self.check(time.perf_counter_ns(), rest)
        self._crowd.loop.handle(self._socket.fileno(), self._read)
        self._crowd.opened()

    def _read(self, mask: int) -> None:
        try:
            size = self._crowd.tape.read(self._socket, self._number)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self.broken_at_end()

    def broken_at_end(self) -> None:
        self._crowd.loop.remove(self._socket.fileno())
        self._crowd.ended(self)

    def _fail(self, reason: str) -> None:
        raise BenchError(f"stream {self._number + 1:,} could not be opened: {reason}")


PLAIN = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
"""What a stream needs, beside Host."""

BROWSER = {
    "Connection": "keep-alive",
    "sec-ch-ua-platform": '"Linux"',
    "Cache-Control": "no-cache",
    "User-Agent": (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
        " Chrome/142.0.0.0 Safari/537.36"
    ),
    "Accept": "text/event-stream",
    "sec-ch-ua": '"Chromium";v="142", "Not_A Brand";v="99"',
    "sec-ch-ua-mobile": "?0",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
    "Referer": "http://127.0.0.1:8000/",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-US,en;q=0.9",
    "Cookie": "theme=dark; sessionid=abcdefghijklmnopqrstuvwxyz012345",
}
"""What an EventSource of Chromium sends."""


class Crowd(Closing):
    """All streams of a phase. A context manager that closes every socket."""

    def __init__(
        self,
        loop: Loop,
        address: tuple[str, int],
        path: str,
        fields: Mapping[str, str] = PLAIN,
        unwrap: Unwrap = as_it_is,
    ) -> None:
        """`{}` in `path` is replaced by the number of the stream; `fields` are those of a request."""
        self.loop = loop
        self._fields = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.address = address
        self.unwrap = unwrap
        self._path = path
        self.tape = Tape()
        self.ledger = Ledger(0)
        self._last_ids: Sequence[bytes] = ()
        self._streams: list[Stream] = []
        self._open = 0
        self._wanted = 0
        self._ended: list[Stream] = []

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, count: int, seconds: float) -> None:
        """Opens `count` streams. Raises BenchError unless all of them answer with 200 in time."""
        self._open_all(count, IN_FLIGHT, seconds)

    def come_back(self, count: int, ledger: Ledger, ids: Sequence[bytes], seconds: float) -> None:
        """Opens `count` streams at once, each with a last event id.

        `ids` are those of the ledger's messages. The first stream has the first id, and so on, again
        from the first after the last. Each stream must deliver every message after its id.
        """
        self.ledger, self._last_ids = ledger, ids
        self._open_all(count, count, seconds)

    def _open_all(self, count: int, in_flight: int, seconds: float) -> None:
        self._open, self._wanted = 0, count
        for _ in range(min(count, in_flight)):
            self._connect_next()
        deadline_ns = time.perf_counter_ns() + int(seconds * 1e9)
        if not self.loop.wait_for(lambda: self._open == count, deadline_ns):
            raise BenchError(f"only {self._open:,} of {count:,} streams opened in {seconds:g} s")

    def expect(self, ledger: Ledger) -> None:
        """Has every stream deliver the messages of `ledger` from now on."""
        self.ledger = ledger
        for stream in self._streams:
            stream.reception = Reception(ledger)

    def check(self) -> Tally:
        """Checks all reads since the last call. Returns the counts up to now."""
        streams = self._streams
        for owner, now_ns, data in self.tape.play():
            interrupt.check()
            streams[owner].check(now_ns, data)
        for stream in self._ended:
            stream.broken = True
        broken = sum(stream.broken for stream in streams)
        return tally(self.ledger, self.receptions(), broken)

    def receptions(self) -> list[Reception]:
        return [stream.reception for stream in self._streams]

    def close(self) -> None:
        for stream in self._streams:
            stream.close()
        self._streams = []

    # -- for the streams

    def request(self, number: int) -> bytes:
        host, port = self.address
        head = (
            f"GET {self._path.format(number)} HTTP/1.1\r\nHost: {host}:{port}\r\n{self._fields}"
        ).encode()
        if self._last_ids:
            head += b"Last-Event-ID: %b\r\n" % self._last_ids[self._last_of(number)]
        return head + b"\r\n"

    def reception(self, number: int) -> Reception:
        """Returns an empty reception: of the whole ledger, or of all after the stream's last event id."""
        return Reception(self.ledger, self._last_of(number) + 1 if self._last_ids else 0)

    def opened(self) -> None:
        self._open += 1
        if len(self._streams) < self._wanted:
            self._connect_next()

    def ended(self, stream: Stream) -> None:
        self._ended.append(stream)

    def _last_of(self, number: int) -> int:
        return number % len(self._last_ids)

    def _connect_next(self) -> None:
        stream = Stream(self, len(self._streams))
        self._streams.append(stream)
        stream.connect()
