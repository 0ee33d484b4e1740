"""Reads the one kind of request that is answered without Daphne: a plain GET of a stream.

What is not plain is not refused: Daphne gets it, with the bytes that were read. So this is no second
opinion on where a message ends. It takes a GET that has no body and nothing after it, and whose head is
written as RFC 9112 wants it.
"""

from collections.abc import Collection
from typing import NamedTuple

from relay.types import Headers

_NAME = frozenset(b"-!#$%&'*+.^`|~0123456789abcdefghijklmnopqrstuvwxyz")
"""What a field name may hold (RFC 9110, section 5.1), in lower case; an underscore is left to Daphne."""

_NAME_BYTES = bytes(_NAME)
_CONTROLS = bytes({*range(32), 127} - {9, 10, 13})
_TARGET = bytes(range(33, 127))

NOT_PLAIN = frozenset(
    {
        b"connection",
        b"content-length",
        b"daphne-root-path",
        b"expect",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields by which a request has a body, or wants something of its connection."""


class PlainGet(NamedTuple):
    path: bytes
    query: bytes
    headers: Headers


def read_plain_get(data: bytes, paths: Collection[bytes]) -> PlainGet | None:
    """Returns the request that `data` is, whole and with nothing after it, or None.

    `paths` are those of the stream. Names of fields are in lower case.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end or rest or len(head.translate(None, _CONTROLS)) != len(head):
        return None
    first, *lines = head.split(b"\r\n")
    if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines):
        return None
    target = _target(first)
    if target is None or target[0] not in paths:
        return None
    headers = _fields(lines)
    return PlainGet(*target, headers) if headers is not None else None


def _target(line: bytes) -> tuple[bytes, bytes] | None:
    """Returns the path and the query of `GET path?query HTTP/1.1`."""
    if not line.startswith(b"GET /") or not line.endswith(b" HTTP/1.1"):
        return None
    target = line[4:-9]
    if target.translate(None, _TARGET):
        return None
    path, _, query = target.partition(b"?")
    return path, query


def _fields(lines: list[bytes]) -> Headers | None:
    """Returns the fields where each is there once, one of them Host, and none of NOT_PLAIN."""
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        name = name.lower()
        if not colon or not name or name.translate(None, _NAME_BYTES) or name in headers:
            return None
        headers[name] = value.strip(b" \t")
    connection = headers.get(b"connection")
    if connection is not None and connection.lower() != b"keep-alive":
        return None
    if b"host" not in headers or not NOT_PLAIN.isdisjoint(headers.keys() - {b"connection"}):
        return None
    return list(headers.items())
