"""Server-Sent Events on the wire: bytes in, bytes out.

The format is WHATWG HTML, section 9.2 "Server-sent events". A line there ends at CRLF, LF or a lone
CR, and at nothing else; that is why `str.splitlines`, which also splits at U+2028, NEL and others,
has no place here.
"""

import json
import re
from typing import Protocol
from urllib.parse import quote

COMMENT = b":\n"
"""Keeps proxies and clients from taking a quiet stream for a dead one; `bare_id` or a line end follows."""

SAFE = "!$'()*,-./:;@_~"
"""What stays as it is in a channel name within an id; `=`, `&`, `+` and `%` would mislead a reader."""

_LINE_END = re.compile(rb"\r\n|\r|\n")


class HubEvent(Protocol):
    """An event the hub makes itself; its name is a constant of ours and needs no escaping."""

    @property
    def name(self) -> str: ...

    def as_json(self) -> dict[str, object]: ...


def message(data: bytes) -> bytes:
    """One unnamed event without its id. `data` must be valid UTF-8 and may hold any line ends.

    Every line becomes a field of its own, so that no payload can forge an `id`, `event` or `retry`.
    """
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(_LINE_END.split(data))
    return b"data: " + data + b"\n\n"


def named(name: str | None, retry_ms: int | None, event: bytes) -> bytes:
    """An event with a name or a reconnection time, both of which must have been checked."""
    fields = f"event: {name}\n" if name else ""
    fields += f"retry: {retry_ms}\n" if retry_ms is not None else ""
    return fields.encode("ascii") + event


def message_size(data: bytes) -> int:
    """How many bytes `message(data)` has, without making them."""
    line_feeds, returns = data.count(b"\n"), data.count(b"\r")
    lines = 1 + line_feeds + returns - data.count(b"\r\n")
    return lines * len(b"data: \n") + len(data) - line_feeds - returns + len(b"\n")


def hub_event(event: HubEvent) -> bytes:
    """A named event without its id, with one line of ASCII JSON as its data."""
    data = json.dumps(event.as_json(), separators=(",", ":"))
    return f"event: {event.name}\ndata: {data}\n\n".encode("ascii")


def numbered(epoch: int, offset: int, event: bytes) -> bytes:
    """An event with its id."""
    return b"id: %d-%d\n%b" % (epoch, offset, event)


def quoted(channel: bytes) -> bytes:
    """A channel's name as it stands in ids and comments: percent-encoded."""
    return quote(channel, safe=SAFE).encode()


def with_source(source: bytes, event: bytes) -> bytes:
    """An event of a pattern, with the channel that it came on, percent-encoded, in a comment."""
    return b":%b\n%b" % (source, event)


def split_source(event: bytes) -> tuple[bytes, bytes]:
    """The percent-encoded channel that `with_source` wrote, and the event without it."""
    if not event.startswith(b":"):
        return b"", event
    end = event.index(b"\n")
    return event[1:end], event[end + 1 :]


def with_id(identity: bytes, event: bytes) -> bytes:
    """An event with any id; `identity` must hold no NUL, CR or LF."""
    return b"id: %b\n%b" % (identity, event)


def bare_id(epoch: int, offset: int) -> bytes:
    """Moves the client's last event id without an event (WHATWG HTML, 9.2.6: "dispatch the event")."""
    return b"id: %d-%d\n\n" % (epoch, offset)


def retry(milliseconds: int) -> bytes:
    """Tells the client how long to wait before it connects again."""
    return b"retry: %d\n\n" % milliseconds
