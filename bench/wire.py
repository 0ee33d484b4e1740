"""A decoder of HTTP/1.1 responses and event streams: bytes in, messages out.

The same decoder checks every server. It accepts events with and without `id:` lines, split anywhere
over chunks and reads. It rejects everything that is malformed.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.message import PADDING, TOKEN

_CRLF = b"\r\n"
_SIZE_LINE_BYTES = 100
_HEX = re.compile(rb"[0-9A-Fa-f]{1,8}\Z")

_find_messages = re.compile(
    rb"^data: (%b)%b\n(?:id:[^\n]*\n)?\n" % (TOKEN, re.escape(PADDING)), re.MULTILINE
).findall
_find_ids = re.compile(
    rb"^(?:id: ?([^\n]*)\n)?data: %b%b\n(?:id: ?([^\n]*)\n)?\n" % (TOKEN, re.escape(PADDING)),
    re.MULTILINE,
).findall
_is_message = re.compile(rb"(%b)%b\Z" % (TOKEN, re.escape(PADDING))).match


Unwrap = Callable[[bytes], bytes]
"""Takes whole events, and returns them as they would be if a server added nothing to the data."""


def as_it_is(data: bytes) -> bytes:
    return data


class WireError(Exception):
    """The bytes are not an HTTP response."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a response."""

    status: int
    chunked: bool


def read_head(data: bytes) -> tuple[Head, bytes] | None:
    """Returns the head and the bytes after it, or None while it is incomplete. Raises WireError."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    words = head.split(_CRLF, 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise WireError(f"not an HTTP response: {head[:60]!r}")
    return Head(int(words[1]), b"transfer-encoding: chunked" in head.lower()), rest


class PlainBody:
    """A body that ends when its connection is closed."""

    ended = False

    def feed(self, data: bytes) -> bytes:
        return data


class ChunkedBody:
    """A chunked body (RFC 9112, section 7.1).

    `ended` is set by the last chunk, or by broken framing, after which nothing can be decoded.
    """

    __slots__ = ("_left", "_rest", "ended")

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0  # the bytes that the open chunk still lacks, with its line end
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """Returns the bytes of the body in a read."""
        if self._rest:
            data = self._rest + data
        out: list[bytes] = []
        at, end = 0, len(data)
        while at < end and not self.ended:
            if not self._left:
                line_end = data.find(_CRLF, at, at + _SIZE_LINE_BYTES)
                if line_end < 0:
                    self.ended = end - at >= _SIZE_LINE_BYTES
                    break
                self._open(data[at:line_end])
                at = line_end + 2
            elif self._left > 2:
                piece = data[at : at + self._left - 2]
                out.append(piece)
                at += len(piece)
                self._left -= len(piece)
            elif end - at < 2:
                break
            else:
                self.ended = data[at : at + 2] != _CRLF
                self._left = 0
                at += 2
        self._rest = data[at:]
        return out[0] if len(out) == 1 else b"".join(out)

    def _open(self, line: bytes) -> None:
        size = line.partition(b";")[0].rstrip()
        length = int(size, 16) if _HEX.match(size) else 0
        self._left = length + 2
        self.ended = not length


@dataclass(slots=True)
class Found:
    """The content of a piece of an event stream."""

    tokens: list[bytes]
    """The tokens of all whole messages, in order. A message with a changed byte has none."""
    corrupt: int = 0
    """The number of unnamed events that are not ours."""
    gaps: list[str] = field(default_factory=list)
    """The reason of each `hub.gap`."""


class EventStream:
    """Splits a body into events (WHATWG HTML, section 9.2.6) and finds our messages in them."""

    __slots__ = ("_rest", "_unwrap")

    def __init__(self, unwrap: Unwrap = as_it_is) -> None:
        self._rest = b""
        self._unwrap = unwrap

    def feed(self, body: bytes) -> Found:
        if self._rest:
            body = self._rest + body
        cut = body.rfind(b"\n\n") + 2
        if cut == 1:
            self._rest = body
            return Found([])
        events, self._rest = self._unwrap(body[:cut]), body[cut:]
        tokens = _find_messages(events)
        lines = events.count(b"\ndata:") + events.startswith(b"data:")
        if len(tokens) == lines and b"event:" not in events:
            return Found(tokens)
        return _find_singly(events)


def message_ids(body: bytes) -> list[bytes]:
    """Returns the ids of our messages that are whole in a piece of an event stream, in order."""
    return [before or after for before, after in _find_ids(body)]


def _find_singly(events: bytes) -> Found:
    found = Found([])
    for event in events.split(b"\n\n"):
        lines = event.split(b"\n")
        data = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
        names = [line[6:].strip() for line in lines if line.startswith(b"event:")]
        name = names[-1] if names else b""
        if not data:
            continue
        if name == b"hub.gap":
            found.gaps.append(str(json.loads(b"\n".join(data))["reason"]))
        elif name in {b"", b"message"}:
            message = _is_message(b"\n".join(data))
            if message:
                found.tokens.append(message[1])
            else:
                found.corrupt += 1
    return found
