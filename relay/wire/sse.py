"""Server-Sent Events on the wire: bytes in, bytes out.

The format is WHATWG HTML, section 9.2 "Server-sent events". A line ends at CRLF, LF or a lone CR and
at nothing else. So `str.splitlines`, which also splits at U+2028, NEL and others, is not used here.
"""

import json
import re
from typing import Protocol
from urllib.parse import quote

COMMENT = b":\n"
"""Begins a heartbeat, which shows proxies and clients that the stream lives. `bare_id` or LF follows."""

REDIS_LOST = b":redis=lost\n"
"""Begins a heartbeat while the hub has lost Redis. The first one without it says that Redis is back."""

DRAINING = b":draining\n"
"""Precedes the last `retry:` of a stream whose process stops."""

SAFE = "!$'()*,-./:;@_~"
"""Characters of a channel name that are not percent-encoded in an id, beside letters and digits."""

_LINE_END = re.compile(rb"\r\n|\r|\n")


class HubEvent(Protocol):
    """An event that the hub itself makes. Its name is a constant and needs no escaping."""

    @property
    def name(self) -> str: ...

    def as_json(self) -> dict[str, object]: ...


def message(data: bytes) -> bytes:
    """Returns an unnamed event without its id. `data` must be valid UTF-8 and may hold line ends.

    Every line becomes a `data` field, so that no payload can forge an `id`, `event` or `retry`.
    """
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(_LINE_END.split(data))
    return b"data: " + data + b"\n\n"


def named(name: str | None, retry_ms: int | None, event: bytes) -> bytes:
    """Returns the event with a name or a reconnection time, both of which must be valid."""
    fields = f"event: {name}\n" if name else ""
    fields += f"retry: {retry_ms}\n" if retry_ms is not None else ""
    return fields.encode("ascii") + event


def message_size(data: bytes) -> int:
    """Returns the number of bytes of `message(data)` without encoding it."""
    line_feeds, returns = data.count(b"\n"), data.count(b"\r")
    lines = 1 + line_feeds + returns - data.count(b"\r\n")
    return lines * len(b"data: \n") + len(data) - line_feeds - returns + len(b"\n")


def hub_event(event: HubEvent) -> bytes:
    """Returns a named event without its id, with one line of ASCII JSON as its data."""
    data = json.dumps(event.as_json(), separators=(",", ":"))
    return f"event: {event.name}\ndata: {data}\n\n".encode("ascii")


def numbered(epoch: int, offset: int, event: bytes) -> bytes:
    """Returns an event with its position as the id."""
    return b"id: %d-%d\n%b" % (epoch, offset, event)


def quoted(channel: bytes) -> bytes:
    """Returns the percent-encoded name of a channel, as it is written in ids and comments."""
    return quote(channel, safe=SAFE).encode()


def with_source(source: bytes, event: bytes) -> bytes:
    """Returns an event received by a pattern, with its percent-encoded channel in a comment."""
    return b":%b\n%b" % (source, event)


def split_source(event: bytes) -> tuple[bytes, bytes]:
    """Returns the channel that `with_source` wrote, or nothing, and the event without it."""
    if not event.startswith(b":"):
        return b"", event
    end = event.index(b"\n")
    return event[1:end], event[end + 1 :]


def read_event(event: bytes) -> tuple[str, str]:
    """Returns the name and the data of an event that this module wrote without an id or a source.

    They are what a client receives: an event without a name is a "message".
    """
    name = b"message"
    while not event.startswith(b"data: "):
        line, end, event = event.partition(b"\n")
        if line.startswith(b"event: "):
            name = line.removeprefix(b"event: ")
        if not end:
            break
    data = event.removeprefix(b"data: ").removesuffix(b"\n\n").replace(b"\ndata: ", b"\n")
    return name.decode(errors="replace"), data.decode(errors="replace")


def with_id(identity: bytes, event: bytes) -> bytes:
    """Returns an event with an id, which must hold no NUL, CR or LF."""
    return b"id: %b\n%b" % (identity, event)


def bare_id(epoch: int, offset: int) -> bytes:
    """Returns an id without data: it moves the client's last event id and dispatches no event.

    (WHATWG HTML, section 9.2.6, "dispatch the event".)
    """
    return b"id: %d-%d\n\n" % (epoch, offset)


def opening(retry_ms: int, heartbeat_seconds: float) -> bytes:
    """Returns what a stream begins with: its `retry:`, and in a comment how often a heartbeat comes.

    An EventSource ignores the comment. To other clients it says when a connection is dead.
    """
    return b"retry: %d\n:heartbeat=%b\n\n" % (retry_ms, b"%g" % heartbeat_seconds)


def retry(milliseconds: int) -> bytes:
    """Returns a field that sets how long the client waits before it reconnects."""
    return b"retry: %d\n\n" % milliseconds
