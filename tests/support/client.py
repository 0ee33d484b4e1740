"""A client of `/stream/` for the tests: http.client reads HTTP, httpx-sse reads the events."""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from email.message import Message
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from httpx_sse import ServerSentEvent
from httpx_sse._decoders import SSEDecoder

from tests.support.waiting import at_most, wait_until


class Stream:
    """An open stream. Use as a context manager."""

    def __init__(
        self,
        url: str,
        path: str = "/stream/",
        timeout: float = 10.0,
        last_id: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        parts = urlsplit(url)
        headers = {"Accept": "text/event-stream", **(headers or {})}
        if last_id:
            headers["Last-Event-ID"] = last_id
        self.connection = http.client.HTTPConnection(
            str(parts.hostname), parts.port, timeout=timeout
        )
        self.connection.request("GET", path, headers=headers)
        self.response = self.connection.getresponse()
        self.lines: list[bytes] = []
        self.last_id = last_id
        """What a browser would send as Last-Event-ID: the id of the last whole block."""
        self._decoder = SSEDecoder()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self.response.close()
        self.connection.close()

    def line(self) -> bytes:
        """The next line, without its end; b"" is an empty one. Raises EOFError at the end."""
        line = self.response.readline()
        if not line:
            raise EOFError
        self.lines.append(line)
        return line.rstrip(b"\n")

    def events(self) -> Iterator[ServerSentEvent]:
        while True:
            try:
                line = self.line()
            except EOFError:
                return
            event = self._decoder.decode(line.decode())
            if not line:
                self.last_id = self._decoder._last_event_id or self.last_id
            if event is not None and (event.data or event.event != "message" or self._was_data()):
                yield event

    def shutdown(self) -> None:
        """Breaks the connection; whoever reads it sees its end."""
        sock = self.connection.sock
        if sock is not None:  # its own thread may just have closed it
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _was_data(self) -> bool:
        return len(self.lines) > 1 and self.lines[-2].startswith(b"data")

    def event(self) -> ServerSentEvent:
        return next(self.events())

    def data(self, number: int) -> list[str]:
        """The data of the next `number` events."""
        events = self.events()
        return [next(events).data for _ in range(number)]


def raw_request(url: str, text: bytes, timeout: float = 10.0) -> socket.socket:
    """A plain socket with the request sent and nothing read."""
    parts = urlsplit(url)
    connection = socket.create_connection((str(parts.hostname), parts.port or 80), timeout)
    try:
        connection.sendall(text)
    except OSError:
        connection.close()
        raise
    return connection


def open_raw_stream(
    url: str, receive_buffer: int | None = None, path: str = "/stream/"
) -> socket.socket:
    """A stream on a plain socket, read no further than its first event-stream bytes."""
    parts = urlsplit(url)
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(30.0)
    connection.connect((parts.hostname, parts.port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    head = b""
    while b"retry:" not in head:
        received = connection.recv(4096)
        assert received, f"no stream: {head!r}"
        head += received
    return connection


def read_until(connection: socket.socket, mark: bytes, seconds: float = 10.0) -> bytes:
    """Everything up to and including `mark`."""
    deadline = time.monotonic() + seconds
    data = bytearray()
    while mark not in data[-len(mark) - 300_000 :]:
        assert time.monotonic() < deadline, (
            f"{mark!r} did not come; the end: {bytes(data[-200:])!r}"
        )
        received = connection.recv(262_144)
        assert received, f"the stream ended before {mark!r}: {bytes(data[-200:])!r}"
        data += received
    return bytes(data)


def dechunk(data: bytes) -> bytes:
    """The body of complete HTTP/1.1 chunks."""
    body = bytearray()
    place = 0
    while place < len(data):
        end = data.index(b"\r\n", place)
        size = int(data[place:end], 16)
        body += data[end + 2 : end + 2 + size]
        place = end + 2 + size + 2
    return bytes(body)


class Answer(NamedTuple):
    """Status, headers and body; of an event stream its first line."""

    status: int
    headers: Message
    body: bytes

    @property
    def detail(self) -> str:
        """What a refusal says; its form is checked."""
        problem = json.loads(self.body)
        assert self.headers["Content-Type"] == "application/problem+json"
        assert problem.keys() == {"title", "status", "detail"}
        assert problem["status"] == self.status
        return str(problem["detail"])

    def json(self) -> Any:
        return json.loads(self.body)


@contextlib.contextmanager
def connection_to(url: str, timeout: float = 30.0) -> Iterator[http.client.HTTPConnection]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=timeout)
    try:
        yield connection
    finally:
        connection.close()


def ask(
    url: str,
    path: str = "/stream/",
    method: str = "GET",
    body: bytes | str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """The answer to one request, on a connection of its own; the form of a refusal is checked."""
    with connection_to(url) as connection:
        connection.request(method, path, body, dict(headers or {}))
        with connection.getresponse() as response:
            is_stream = response.headers.get_content_type() == "text/event-stream"
            text = response.readline() if is_stream else response.read()
    found = Answer(response.status, response.headers, text)
    if found.headers.get_content_type() == "application/problem+json":
        assert found.detail
    return found


def ask_and_go_on(url: str, path: str = "/stream/", method: str = "GET", **options: Any) -> Answer:
    """The answer to one request; checks that the same connection answers a second one."""
    with connection_to(url) as connection:
        connection.request(method, path, **options)
        response = connection.getresponse()
        found = Answer(response.status, response.headers, response.read())
        used = connection.sock
        connection.request("GET", "/health/")
        assert connection.sock is used, "the connection was not kept"
        assert connection.getresponse().status == 200
        return found


class BackgroundStream:
    """An open stream that a thread reads to its end. Use as a context manager: it is live inside."""

    def __init__(
        self, url: str, path: str = "/stream/", headers: Mapping[str, str] | None = None
    ) -> None:
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
        self.connection.request("GET", path, headers=dict(headers or {}))
        self.lines: list[bytes] = []
        self.ended_at = 0.0
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._read)

    def __enter__(self) -> "BackgroundStream":
        self.start()
        wait_until(lambda: self.live, "the stream is live")
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def start(self) -> None:
        self.thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)
        self.connection.close()

    @property
    def live(self) -> bool:
        return any(b"id:" in line for line in self.lines)

    def ends_within_a_second(self, begin: float) -> None:
        self.thread.join(5)
        assert self.ended_at, "it has not ended"
        assert self.ended_at - begin < at_most(1)
        self.ended_properly()

    def ended_properly(self) -> None:
        """With a last chunk, and a `retry:` as the last field."""
        assert self.error is None
        assert self.response.isclosed()
        fields = [line for line in self.lines if line.strip()]
        assert fields[-1].startswith(b"retry: ")

    def _read(self) -> None:
        try:
            self.response = self.connection.getresponse()
            while line := self.response.readline():
                self.lines.append(line)
        except (OSError, http.client.HTTPException) as error:
            self.error = error
        self.ended_at = time.monotonic()
