"""The head of a stream's response, for a connection on which the hub itself speaks HTTP."""

from relay.http.answer import STREAM_HEADERS, field_lines
from relay.types import Headers

_FIELDS = field_lines(STREAM_HEADERS)


def stream_head(http_version: bytes, headers: Headers) -> bytes:
    """Returns the status line and the fields, `headers` after those that every stream has.

    The body is chunked with HTTP/1.1 and ends with the connection before (RFC 9112, section 6.3).
    """
    framing = b"Transfer-Encoding: chunked\r\n" if http_version == b"1.1" else b""
    return b"HTTP/%b 200 OK\r\n%b%b%b\r\n" % (http_version, _FIELDS, field_lines(headers), framing)
