"""Reads a request at the admin address: a request line and fields (RFC 9112), without a body."""

import asyncio
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from relay.conf.addresses import is_loopback

METHODS = ("GET", "HEAD")

_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~]+) HTTP/1\.[01]")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")


class BadRequest(Exception):
    """The answer to a request that is none: `fields` are whole header lines."""

    def __init__(self, status: int, phrase: str, fields: str = "") -> None:
        super().__init__(phrase)
        self.status = status
        self.phrase = phrase
        self.fields = fields


class Request(NamedTuple):
    method: str
    path: str
    accept: str
    host: str
    """As the client wrote it, with a port if there is one; empty without a Host field."""

    @property
    def names_loopback(self) -> bool:
        """Whether the Host is this machine's own. A page whose name leads here by DNS has another one."""
        try:
            return is_loopback(urlsplit(f"//{self.host}").hostname or "localhost")
        except ValueError:
            return False


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Returns the request; None when the connection ends before it. Raises BadRequest."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise BadRequest(431, "Request Header Fields Too Large") from None
    return parse_request(head)


def parse_request(head: bytes) -> Request:
    """Reads a head that ends with an empty line. Raises BadRequest."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    line = _LINE.fullmatch(first)
    fields = [_FIELD.fullmatch(each) for each in lines]
    if line is None or None in fields:
        raise BadRequest(400, "Bad Request")
    method, target = line[1].decode(), line[2].decode()
    if method not in METHODS:
        raise BadRequest(405, "Method Not Allowed", f"Allow: {', '.join(METHODS)}\r\n")
    found: dict[bytes, list[str]] = {}
    for field in fields:
        if field is not None:
            found.setdefault(field[1].lower(), []).append(field[2].decode("latin-1").strip())
    accept, host = (", ".join(found.get(name, ())) for name in (b"accept", b"host"))
    return Request(method, target.partition("?")[0], accept, host)
