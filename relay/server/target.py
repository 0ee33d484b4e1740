"""The target and the fields of a request head, checked as RFC 9112 and RFC 9110 ask."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from relay.server import bounds

Fields = Iterable[tuple[bytes, Sequence[bytes]]]

_FIELD_NAME = re.compile(rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]+")
_FORBIDDEN = frozenset(b"\0\n\r\x0b\x0c\x1c\x1d\x1e\x7f")
"""NUL, DEL, and what some parser takes for the end of a line. Other control characters are safe here (RFC
9110, section 5.5), and a client may send them: an event id may hold any."""
_ABSOLUTE = re.compile(rb"https?://([^/?#@]+)([/?].*)?", re.IGNORECASE)
_TOKEN = re.compile(rb"((?:^|[?&])(?:token|link)=)[^&]*")


class Target(NamedTuple):
    path: bytes
    query: bytes
    host: bytes | None
    """The host of an absolute-form target, which counts instead of the Host field."""


def parse_target(method: bytes, text: bytes) -> Target:
    """Reads a request target (RFC 9112, section 3.2). Raises ValueError."""
    if not text.isascii():
        raise ValueError("The request target is not ASCII.")
    host = None
    if (absolute := _ABSOLUTE.fullmatch(text)) is not None:
        host, text = absolute[1], absolute[2] or b"/"
        if text.startswith(b"?"):
            text = b"/" + text
    if not text.startswith(b"/") and (method, text) != (b"OPTIONS", b"*"):
        raise ValueError("The request target is neither a path nor a URL.")
    path, _, query = text.partition(b"?")
    return Target(path, query, host)


def check_fields(fields: Fields) -> None:
    """Raises ValueError for a name or a value that no field may have (RFC 9110, section 5)."""
    for name, values in fields:
        if not _FIELD_NAME.fullmatch(name):
            raise ValueError("A header field has a name that is not valid.")
        if any(not _FORBIDDEN.isdisjoint(value) for value in values):
            raise ValueError("A header field has a value that is not valid.")


def check_host(version: bytes, hosts: Sequence[bytes]) -> None:
    """Raises ValueError unless Host is there once; HTTP/1.0 may lack it (RFC 9112, section 3.2)."""
    if len(hosts) > 1 or (not hosts and version == b"HTTP/1.1"):
        raise ValueError("A request has one Host field.")


def is_refused_field(name: bytes, value: bytes, version: bytes) -> bool:
    """Whether one field is none that a body or a parser could be trusted with (RFC 9112, section 6)."""
    if name == b"content-length":
        return not value.isdigit() or len(value) > bounds.LENGTH_DIGITS
    if name == b"transfer-encoding":
        return value.lower() != b"chunked" or version != b"HTTP/1.1"
    return len(name) > bounds.FIELD_NAME_BYTES


def hide_token(uri: bytes) -> bytes:
    """Returns a request target or query with the values of `token` and `link` hidden, for logs."""
    return _TOKEN.sub(rb"\1-", uri)
