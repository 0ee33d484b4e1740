"""What the door takes as a plain GET of a stream. Everything else is Daphne's to judge."""

import pytest

from relay.server.plain_get import PlainGet, read_plain_get

PATHS = frozenset({b"/stream", b"/stream/"})
HOST = b"Host: hub.example.org"


def read(*lines: bytes, rest: bytes = b"", end: bytes = b"\r\n\r\n") -> PlainGet | None:
    return read_plain_get(b"\r\n".join(lines) + end + rest, PATHS)


def test_a_browsers_head_is_taken() -> None:
    request = read(
        b"GET /stream/?channel=a&channel=b%20c HTTP/1.1",
        HOST,
        b"Connection: keep-alive",
        b"Accept:text/event-stream",
        b"X-Name: \tw\xc3\xb6rter \t",
        b"Last-Event-ID: ",
    )
    assert request == PlainGet(
        b"/stream/",
        b"channel=a&channel=b%20c",
        [
            (b"host", b"hub.example.org"),
            (b"connection", b"keep-alive"),
            (b"accept", b"text/event-stream"),
            (b"x-name", b"w\xc3\xb6rter"),
            (b"last-event-id", b""),
        ],
    )


@pytest.mark.parametrize("target", [b"/stream", b"/stream/", b"/stream?", b"/stream/?a=/?b"])
def test_each_way_to_write_the_path_is_taken(target: bytes) -> None:
    assert read(b"GET " + target + b" HTTP/1.1", HOST) is not None


@pytest.mark.parametrize(
    "line",
    [
        b"POST /stream/ HTTP/1.1",
        b"HEAD /stream/ HTTP/1.1",
        b"get /stream/ HTTP/1.1",
        b"GET /stream/ HTTP/1.0",
        b"GET /stream/ HTTP/2.0",
        b"GET /stream/  HTTP/1.1",
        b"GET  /stream/ HTTP/1.1",
        b"GET /stream/ x HTTP/1.1",
        b"GET /stream/\tHTTP/1.1",
        b"GET /stream/x HTTP/1.1",
        b"GET /Stream/ HTTP/1.1",
        b"GET //stream/ HTTP/1.1",
        b"GET /%73tream/ HTTP/1.1",
        b"GET /stream/?\xff HTTP/1.1",
        b"GET http://hub.example.org/stream/ HTTP/1.1",
        b"GET /stream/",
        b"GET / HTTP/1.1",
        b"",
    ],
)
def test_another_request_is_left(line: bytes) -> None:
    assert read(line, HOST) is None


@pytest.mark.parametrize(
    "field",
    [
        b"Host: another.example.org",
        b"Content-Length: 0",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Expect: 100-continue",
        b"Upgrade: h2c",
        b"Connection: close",
        b"Connection: Upgrade",
        b"TE: trailers",
        b"Daphne-Root-Path: /x",
        b" folded: x",
        b"\tfolded",
        b"no colon",
        b": no name",
        b"X Y: z",
        b"X-Y : z",
        b"X_Y: z",
        b"X-Y: a\0b",
        b"X-Y: a\x7fb",
        b"X-Y: a\rb",
        b"X-Y: a\nb",
        b"X-Y: a\x0bb",
        b"\xc3\xb6: x",
    ],
)
def test_a_field_that_is_not_plain_leaves_the_request(field: bytes) -> None:
    assert read(b"GET /stream/ HTTP/1.1", HOST, field) is None


def test_without_a_host_or_with_more_after_the_head_it_is_left() -> None:
    assert read(b"GET /stream/ HTTP/1.1") is None
    assert read(b"GET /stream/ HTTP/1.1", HOST, rest=b"x") is None
    assert read(b"GET /stream/ HTTP/1.1", HOST, rest=b"GET / HTTP/1.1\r\n\r\n") is None


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\n\r", b"\n\n", b"\r\n\n", b"\n\r\n"])
def test_a_head_without_its_proper_end_is_left(end: bytes) -> None:
    assert read(b"GET /stream/ HTTP/1.1", HOST, end=end) is None


def test_every_prefix_of_a_head_is_left() -> None:
    head = b"GET /stream/ HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n"
    assert read_plain_get(head, PATHS) is not None
    assert all(read_plain_get(head[:n], PATHS) is None for n in range(len(head)))
