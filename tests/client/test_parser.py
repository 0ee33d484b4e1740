"""The parser of the Python client, beside that of httpx-sse, on whatever bytes a server may send."""

import re

from httpx_sse._decoders import SSEDecoder
from hypothesis import given
from hypothesis import strategies as st

from relay.client.parser import EventParser, Found

LINES = st.sampled_from(
    [
        *("data", "data:", "data: x", "data:  y", "id", "id: 5", "id:6", "id: a\0b", "event: a"),
        *("event", "event:b", "retry: 9", "retry: x", ":comment", "other: x", "", "", " data: z"),
        *("data: \u2028\x85\x0b", "data: \N{GRINNING FACE}\N{LATIN SMALL LETTER E WITH ACUTE}"),
    ]
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
BODIES = st.lists(st.tuples(LINES, ENDS).map("".join), max_size=30).map("".join)


def parsed(body: bytes, cuts: list[int]) -> list[Found]:
    parser, found, at = EventParser(), [], 0
    for cut in [*sorted(cuts), len(body)]:
        found += parser.push(body[at : max(at, cut)])
        at = max(at, cut)
    return found


@given(BODIES, st.lists(st.integers(0, 300), max_size=40))
def test_it_reads_what_another_reads_wherever_the_pieces_end(body: str, cuts: list[int]) -> None:
    decoder, expected = SSEDecoder(), []
    for line in re.split("\r\n|\r|\n", body)[:-1]:
        event = decoder.decode(line)
        if event is not None and event.data:
            expected.append((event.id, event.data, event.event))
    encoded = body.encode()
    found = parsed(encoded, cuts)
    assert [(each.id, each.data, each.event) for each in found if each.data] == expected
    assert found == parsed(encoded, [])


def test_an_empty_message_is_an_event_and_a_bare_id_is_none() -> None:
    found = parsed(b"id: 1\n\nid: 2\ndata\n\ndata:\ndata\n\n: c\n\n", [])
    assert found == [Found("1"), Found("2", "", "message"), Found("2", "\n", "message")]


def test_bytes_that_are_no_text_and_a_byte_order_mark() -> None:
    assert parsed(b"\xef\xbb\xbfdata: \xff\xc3\n\n", [1, 2, 4, 10]) == [
        Found("", "\ufffd\ufffd", "message")
    ]


def test_what_the_stream_says_of_itself_is_kept() -> None:
    parser = EventParser()
    parser.push(b"retry: 2165\n:heartbeat=15\nretry: soon\n\n:\n:heartbeat=1.2.3\nheartbeat=9\n\n")
    assert (parser.retry_ms, parser.heartbeat_seconds) == (2165, 15.0)
    parser.push(b"retry: 5\n:heartbeat=0.4\n\n")
    assert (parser.retry_ms, parser.heartbeat_seconds) == (5, 0.4)
