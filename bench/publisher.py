"""Publishes over one pipelined connection, in the protocol of the server under test."""

import re
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from bench.closing import Closing
from bench.errors import BenchError
from bench.ledger import Ledger
from bench.loop import READABLE, WRITABLE, Loop
from bench.wire import as_it_is

READ_BYTES = 64 * 1024
WRITE_BYTES = 256 * 1024
"""The most that is written in one turn, so that the streams are read meanwhile."""

_find_statuses = re.compile(rb"HTTP/1\.1 (\d)").finditer


_find_ids = re.compile(rb"\$\d+\r\n\d+-\d+\r\n").finditer


class Dialect(Protocol):
    """The protocol of publishing. One connection keeps the messages in order."""

    @property
    def address(self) -> tuple[str, int]: ...

    def request(self, payload: bytes) -> bytes:
        """Returns the bytes that publish one message."""

    def count_answers(self, data: bytes) -> tuple[int, bytes]:
        """Returns the number of whole answers in `data`, and the rest. Raises BenchError at a refusal."""


class RedisPublish:
    """PUBLISH. `wrap` makes the published message from the payload."""

    def __init__(self, port: int, channel: str, wrap: Callable[[bytes], bytes] = as_it_is) -> None:
        self.address = "127.0.0.1", port
        self._head = b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n" % (len(channel), channel.encode())
        self._wrap = wrap

    def request(self, payload: bytes) -> bytes:
        message = self._wrap(payload)
        return b"%b$%d\r\n%b\r\n" % (self._head, len(message), message)

    def count_answers(self, data: bytes) -> tuple[int, bytes]:
        whole, end, rest = data.rpartition(b"\r\n")
        if b"-" in whole:
            raise BenchError(f"Redis refused a message: {whole[whole.find(b'-') :][:200]!r}")
        return (whole + end).count(b"\r\n"), rest


class RedisAdd:
    """XADD to a stream, in the field `data`."""

    def __init__(self, port: int, key: str) -> None:
        self.address = "127.0.0.1", port
        self._head = b"*5\r\n$4\r\nXADD\r\n$%d\r\n%b\r\n$1\r\n*\r\n$4\r\ndata\r\n" % (
            len(key),
            key.encode(),
        )

    def request(self, payload: bytes) -> bytes:
        return b"%b$%d\r\n%b\r\n" % (self._head, len(payload), payload)

    def count_answers(self, data: bytes) -> tuple[int, bytes]:
        if data.startswith(b"-"):
            raise BenchError(f"Redis refused a message: {data[:200]!r}")
        answers = list(_find_ids(data))
        counted = answers[-1].end() if answers else 0
        return len(answers), data[counted:]


class HttpPost:
    """POST on a keep-alive connection, one message per request. `wrap` makes its body."""

    def __init__(
        self,
        port: int,
        path: str,
        fields: Mapping[str, str] | None = None,
        wrap: Callable[[bytes], bytes] = as_it_is,
    ) -> None:
        self.address = "127.0.0.1", port
        lines = [f"{name}: {value}\r\n" for name, value in (fields or {}).items()]
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{''.join(lines)}Content-Length: "
        ).encode()
        self._wrap = wrap

    def request(self, payload: bytes) -> bytes:
        body = self._wrap(payload)
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)

    def count_answers(self, data: bytes) -> tuple[int, bytes]:
        answers = list(_find_statuses(data))
        if any(answer[1] != b"2" for answer in answers):
            raise BenchError(f"the server refused a message: {data[:200]!r}")
        counted = answers[-1].end() if answers else 0
        return len(answers), data[max(counted, len(data) - len(b"HTTP/1.1 ")) :]


class Publisher(Closing):
    """One connection that publishes and counts the answers. A context manager."""

    def __init__(self, loop: Loop, dialect: Dialect) -> None:
        self._loop = loop
        self._dialect = dialect
        self._socket = socket.create_connection(dialect.address, timeout=5)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unsent = memoryview(b"")
        self._answer = b""
        self.answered = 0
        self._sent = 0
        loop.add(self._socket.fileno(), READABLE, self._serve)

    def close(self) -> None:
        self._socket.close()

    def publish(self, ledger: Ledger, due_ns: int) -> None:
        """Publishes one message, now."""
        self._send(self._dialect.request(ledger.payload(due_ns)), 1)

    def prepare(self, ledger: Ledger, count: int) -> bytes:
        """Returns the requests of `count` messages, encoded ahead of the measurement."""
        request, now_ns = self._dialect.request, time.perf_counter_ns()
        return b"".join([request(ledger.payload(now_ns)) for _ in range(count)])

    def flat_out(self, requests: bytes, count: int, seconds: float) -> None:
        """Publishes at full speed. Raises BenchError unless every message is answered in time."""
        self._send(requests, count)
        deadline_ns = time.perf_counter_ns() + int(seconds * 1e9)
        if not self._loop.wait_for(lambda: self.answered == self._sent, deadline_ns):
            raise BenchError(
                f"only {self.answered:,} of {self._sent:,} messages were taken in {seconds:g} s"
            )

    def _send(self, data: bytes, messages: int) -> None:
        self._sent += messages
        if self._unsent:
            data = bytes(self._unsent) + data
        self._unsent = memoryview(data)
        self._write()
        if self._unsent:
            self._loop.change(self._socket.fileno(), READABLE | WRITABLE)

    def _serve(self, mask: int) -> None:
        if mask & WRITABLE:
            self._write()
            if not self._unsent:
                self._loop.change(self._socket.fileno(), READABLE)
        if mask & ~WRITABLE:
            self._read()

    def _write(self) -> None:
        try:
            sent = self._socket.send(self._unsent[:WRITE_BYTES])
            self._unsent = self._unsent[sent:]
        except BlockingIOError:
            pass
        except OSError as error:
            raise BenchError(f"publishing failed: {error}") from None

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except OSError as error:
            raise BenchError(f"publishing failed: {error}") from None
        if not data:
            raise BenchError("the connection of the publisher was closed")
        answers, self._answer = self._dialect.count_answers(self._answer + data)
        self.answered += answers


def at_rate(
    loop: Loop, parts: Sequence[tuple[Publisher, Ledger]], per_second: float, count: int
) -> None:
    """Publishes `count` messages to each in turn, each when due, without waiting for earlier ones."""
    period_ns = 1e9 / per_second / len(parts)
    start_ns = time.perf_counter_ns() + int(period_ns)
    for number in range(count * len(parts)):
        due_ns = start_ns + int(number * period_ns)
        loop.run_until(due_ns)
        publisher, ledger = parts[number % len(parts)]
        publisher.publish(ledger, due_ns)
