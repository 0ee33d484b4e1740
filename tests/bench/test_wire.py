"""The benchmark reads HTTP and events wherever they are cut, and counts what it publishes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.ledger import Ledger, Reception, Tally, tally
from bench.publisher import HttpPost, RedisAdd, RedisPublish
from bench.servers import centrifugo
from bench.wire import ChunkedBody, EventStream, WireError, message_ids, read_head
from tests.support.bench_stage import HEAD, RETRY, STYLES, chunk


def received(pieces: list[bytes], ledger: Ledger) -> Tally:
    """The tally of one stream's body, in these pieces."""
    body, events, reception = ChunkedBody(), EventStream(), Reception(ledger)
    for piece in pieces:
        reception.take(events.feed(body.feed(piece)), 1)
    return tally(ledger, [reception], broken=body.ended)


@given(st.data(), st.sampled_from(sorted(STYLES)))
def test_it_does_not_matter_where_chunks_and_reads_are_cut(data: st.DataObject, style: str) -> None:
    ledger = Ledger(1)
    body = b"".join(STYLES[style](ledger.payload(0), n) for n in range(5)) + b":\n\n"
    wire = b"".join(map(chunk, cut(data, body)))
    assert received(cut(data, wire), ledger) == Tally(delivered=5)


def cut(data: st.DataObject, whole: bytes) -> list[bytes]:
    places = data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=30))
    edges = [0, *sorted(places), len(whole)]
    return [whole[a:b] for a, b in pairwise(edges)]


@given(st.data())
def test_what_a_server_puts_around_a_message_is_taken_off(data: st.DataObject) -> None:
    ledger = Ledger(1)
    around = b'data: {"channel":"demo_stream","pub":{"data":"%b","offset":%d,"epoch":"Ab1"}}\n\n'
    body = b'\r\ndata: {"connect":{"client":"c","ping":25}}\n\n'
    body += b"data: {}\n\n".join(around % (ledger.payload(0), n) for n in range(5))
    events, reception = EventStream(centrifugo.unwrap), Reception(ledger)
    for piece in cut(data, body):
        reception.take(events.feed(piece), 1)
    assert tally(ledger, [reception], broken=False) == Tally(delivered=5)


def test_a_reply_that_is_no_message_is_corrupt() -> None:
    error = b'data: {"disconnect":{"code":3008}}\n\n'
    assert EventStream(centrifugo.unwrap).feed(error).corrupt == 1


def test_the_body_of_a_request_is_what_the_server_expects() -> None:
    post = HttpPost(80, "/p", {"X-API-Key": "k"}, lambda payload: b"<%b>" % payload)
    head, _, body = post.request(b"text").partition(b"\r\n\r\n")
    assert body == b"<text>"
    assert head.split(b"\r\n") == [
        *(b"POST /p HTTP/1.1", b"Host: 127.0.0.1:80", b"X-API-Key: k", b"Content-Length: 6"),
    ]


def test_no_changed_byte_goes_unseen() -> None:
    ledger = Ledger(1)
    first, last = (chunk(STYLES["data alone"](ledger.payload(0), n)) for n in range(2))
    assert received([first + last], ledger).clean
    for at in range(len(first)):
        changed = first[:at] + bytes([first[at] ^ 1]) + first[at + 1 :]
        again = Ledger(1)
        again.tokens, again.due_ns = ledger.tokens, ledger.due_ns
        assert not received([changed + last], again).clean, (at, changed)


def test_two_messages_in_one_event_are_no_message() -> None:
    ledger = Ledger(1)
    first, second = ledger.payload(0), ledger.payload(0)
    body = b"data: %b\ndata: %b\n\n:\n\n" % (first, second)
    assert received([chunk(body)], ledger) == Tally(lost=2, corrupt=1)


@pytest.mark.parametrize("size", [b"", b"-1", b"0x5", b"1_0", b" ", b"123456789"])
def test_a_chunk_size_is_hexadecimal_and_nothing_else(size: bytes) -> None:
    body = ChunkedBody()
    assert body.feed(size + b"\r\nabcde\r\n") == b""
    assert body.ended


def test_a_chunk_size_that_never_ends_breaks_a_stream() -> None:
    body = ChunkedBody()
    for _ in range(100):
        assert body.feed(b"0") == b""
    assert body.ended


def test_the_ids_of_messages_are_read_before_or_after_the_data() -> None:
    ledger = Ledger(1)
    before = STYLES["id before data"](ledger.payload(0), 5)
    after = STYLES["id after data"](ledger.payload(0), 6)
    none = STYLES["data alone"](ledger.payload(0), 7)
    assert message_ids(b":\n\nid: 9-9\n\n" + before + RETRY + after + none + before[:-1]) == [
        *(b"1732400000:5", b"1732400000000-6", b"")
    ]


def test_a_head_is_read_when_it_is_complete() -> None:
    assert read_head(HEAD[:-1]) is None
    found = read_head(HEAD + b"rest")
    assert found is not None
    assert (found[0].status, found[0].chunked, found[1]) == (200, True, b"rest")
    with pytest.raises(WireError):
        read_head(b"ICY 200 OK\r\n\r\n")


def test_answers_of_redis_are_counted_and_a_refusal_is_an_error() -> None:
    redis = RedisPublish(1, "demo_stream")
    assert redis.request(b"x" * 3) == (
        b"*3\r\n$7\r\nPUBLISH\r\n$11\r\ndemo_stream\r\n$3\r\nxxx\r\n"
    )
    assert redis.count_answers(b":1\r\n:10\r\n:1") == (2, b":1")
    with pytest.raises(BenchError, match="Redis refused a message: b'-NOPERM no'"):
        redis.count_answers(b":1\r\n-NOPERM no\r\n")


def test_ids_of_entries_are_counted_wherever_they_are_cut() -> None:
    add = RedisAdd(1, "entries")
    assert add.request(b"x" * 3) == (
        b"*5\r\n$4\r\nXADD\r\n$7\r\nentries\r\n$1\r\n*\r\n$4\r\ndata\r\n$3\r\nxxx\r\n"
    )
    answers = b"$15\r\n1795799764154-0\r\n$16\r\n1795799764154-10\r\n"
    for at in range(len(answers)):
        first, rest = add.count_answers(answers[:at])
        second, left = add.count_answers(rest + answers[at:])
        assert (first + second, left) == (2, b"")
    with pytest.raises(BenchError, match="refused"):
        add.count_answers(b"-WRONGTYPE no\r\n")


def test_answers_over_http_are_counted_wherever_they_are_cut() -> None:
    http = HttpPost(1, "/publish/")
    answers = b"HTTP/1.1 201 Created\r\n\r\n{}HTTP/1.1 202 Accepted\r\n\r\n"
    for at in range(len(answers)):
        first, rest = http.count_answers(answers[:at])
        second, _ = http.count_answers(rest + answers[at:])
        assert first + second == 2
    with pytest.raises(BenchError, match="refused"):
        http.count_answers(b"HTTP/1.1 413 Too Large\r\n\r\n")
