"""The encoder, against the bytes of the specification and against somebody else's decoder."""

import json

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import given
from hypothesis import strategies as st

from relay.wire import sse
from relay.wire.notices import Gap, GapReason, Oversize
from relay.wire.position import Position
from tests.support.corpus import CORPUS, as_received


def decode(wire: bytes) -> list[tuple[str, str, str]]:
    """(event, data, id) of every event, by httpx-sse. It drops events without data; see `marked`."""
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=wire)
    return [(e.event, e.data, e.id) for e in EventSource(response).iter_sse()]


@pytest.mark.parametrize(
    ("payload", "wire"),
    [
        (b"Test Event", b"data: Test Event\n\n"),
        (b" two  spaces ", b"data:  two  spaces \n\n"),
        (b"", b"data: \n\n"),
        (b"a\nb", b"data: a\ndata: b\n\n"),
        (b"a\r\nb\rc\n", b"data: a\ndata: b\ndata: c\ndata: \n\n"),
        (b"\n\r", b"data: \ndata: \ndata: \n\n"),
        ("a\u2028b\u0085c".encode(), "data: a\u2028b\u0085c\n\n".encode()),
        (
            b"x\nid: 1\nevent: e\nretry: 1",
            b"data: x\ndata: id: 1\ndata: event: e\ndata: retry: 1\n\n",
        ),
    ],
)
def test_a_message_has_exactly_these_bytes(payload: bytes, wire: bytes) -> None:
    assert sse.message(payload) == wire
    assert sse.message_size(payload) == len(wire)


@pytest.mark.parametrize("name", CORPUS)
def test_the_corpus_arrives_as_it_was_sent(name: str) -> None:
    payload = CORPUS[name].decode(errors="replace")
    wire = sse.message(payload.encode())
    assert decode(wire) == [("message", as_received(payload), "")]
    assert sse.message_size(payload.encode()) == len(wire)


@given(st.lists(st.text(alphabet=st.sampled_from("ab: \r\n\0\ufeff\u2028\x85idevntry01é😀"))))
def test_any_text_arrives_as_it_was_sent(payloads: list[str]) -> None:
    wire = b"".join(sse.message(b"." + p.encode()) for p in payloads)
    assert decode(wire) == [("message", as_received("." + p), "") for p in payloads]
    assert sum(sse.message_size(b"." + p.encode()) for p in payloads) == len(wire)


@given(
    st.text(alphabet=st.sampled_from("ab: \r\n\0\ufeff\u2028\x85idevntry01é😀")),
    st.sampled_from([None, "price", "hub.oversize"]),
    st.sampled_from([None, 0, 5000]),
)
def test_an_event_is_read_as_a_client_reads_it(
    payload: str, name: str | None, retry_ms: int | None
) -> None:
    event = sse.named(name, retry_ms, sse.message(b"." + payload.encode()))
    [(event_name, data, _)] = decode(event)
    assert sse.read_event(event) == (event_name, data)


@pytest.mark.parametrize("name", CORPUS)
def test_the_corpus_is_read_as_it_was_sent(name: str) -> None:
    payload = CORPUS[name].decode(errors="replace")
    assert sse.read_event(sse.message(payload.encode())) == ("message", as_received(payload))


@pytest.mark.parametrize("event", [b"", b"\n", b"event: a", b"data:", b":x\n\n", b"id: 1\n\n"])
def test_what_is_no_event_of_ours_is_read_without_data(event: bytes) -> None:
    assert sse.read_event(event)[1] == ""


def test_the_events_of_the_hub_are_named_and_hold_json() -> None:
    gap = Gap("a\nb", Position(5, 1), Position(6, 0), 3, GapReason.SLOW_CLIENT)
    [(event, data, identity)] = decode(sse.numbered(6, 0, sse.hub_event(gap)))
    assert (event, identity) == ("hub.gap", "6-0")
    assert json.loads(data) == {
        "channel": "a\nb",
        "from": "5-1",
        "to": "6-0",
        "missed": 3,
        "reason": "slow-client",
    }
    [(event, data, _)] = decode(sse.hub_event(Oversize("c", Position(5, 9), 300, 200)))
    assert event == "hub.oversize"
    assert json.loads(data) == {"channel": "c", "id": "5-9", "bytes": 300, "max_bytes": 200}


def test_retry_and_heartbeat_are_no_events() -> None:
    assert sse.retry(1500) == b"retry: 1500\n\n"
    heartbeat = sse.COMMENT + sse.bare_id(5, 1)
    assert heartbeat == b":\nid: 5-1\n\n"
    assert decode(heartbeat + sse.message(b"x"))[-1] == ("message", "x", "5-1")


def test_an_id_stands_before_its_event() -> None:
    event = sse.message(b"a\nb")
    assert sse.numbered(5, 12, event) == b"id: 5-12\ndata: a\ndata: b\n\n"


def test_the_channel_of_a_pattern_stands_in_a_comment_and_comes_off_again() -> None:
    event = sse.message(b"a\nb")
    source = sse.quoted("orders é\n".encode())
    assert sse.with_source(source, event) == b":orders%20%C3%A9%0A\ndata: a\ndata: b\n\n"
    assert sse.split_source(sse.with_source(source, event)) == (source, event)
    assert sse.split_source(event) == (b"", event)
