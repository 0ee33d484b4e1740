"""The benchmark sees what is lost, doubled, late or changed, with a server that cheats."""

import time
from collections.abc import Iterator

import pytest

from bench.errors import BenchError
from bench.ledger import Ledger, Tally
from bench.loop import Loop
from tests.support.bench_stage import HEAD, STYLES, Stage, chunk, chunks


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Loop() as loop:
        stage = Stage(loop)
        yield stage
        stage.crowd.close()
        stage.server.close()


def test_all_messages_on_all_streams_are_clean(stage: Stage) -> None:
    whole = chunks(stage.open())
    stage.send(whole, whole, whole)
    assert stage.tally() == Tally(delivered=30)
    assert stage.tally().clean
    assert len(stage.ledger.latency_ns) == 30
    assert 0 < stage.ledger.latency_ns.percentile(100) < 5e9


@pytest.mark.parametrize("number", [0, 4, 9])
def test_a_message_that_is_dropped_is_lost(stage: Stage, number: int) -> None:
    frames = stage.open()
    whole = chunks(frames)
    stage.send(whole, chunks(frames[:number] + frames[number + 1 :]), whole)
    assert stage.tally() == Tally(delivered=29, lost=1)


@pytest.mark.parametrize("number", [0, 4, 9])
def test_a_message_that_comes_twice_is_doubled(stage: Stage, number: int) -> None:
    frames = stage.open()
    whole = chunks(frames)
    stage.send(chunks([*frames[: number + 1], *frames[number:]]), whole, whole)
    assert stage.tally() == Tally(delivered=30, doubled=1)


def test_the_whole_stream_twice_is_doubled_ten_times(stage: Stage) -> None:
    whole = chunks(stage.open())
    stage.send(whole, whole + whole, whole)
    assert stage.tally() == Tally(delivered=30, doubled=10)


def test_a_message_that_comes_late_is_reordered(stage: Stage) -> None:
    frames = stage.open()
    whole = chunks(frames)
    frames[3], frames[4] = frames[4], frames[3]
    stage.send(whole, whole, chunks(frames))
    assert stage.tally() == Tally(delivered=30, reordered=1)


def test_a_changed_byte_of_a_message_makes_it_corrupt_and_lost(stage: Stage) -> None:
    frames = stage.open()
    whole = chunks(frames)
    frames[5] = frames[5].replace(b".....", b"..,..", 1)
    stage.send(whole, chunks(frames), whole)
    assert stage.tally() == Tally(delivered=29, lost=1, corrupt=1)


def test_a_message_that_was_never_published_is_corrupt(stage: Stage) -> None:
    frames = stage.open()
    whole = chunks(frames)
    stage.send(whole, chunks([*frames, frames[9].replace(b" 0000000009 ", b" 0000000010 ")]), whole)
    assert stage.tally() == Tally(delivered=30, corrupt=1)


def test_an_event_that_is_no_message_of_ours_is_corrupt(stage: Stage) -> None:
    whole = chunks(stage.open())
    stage.send(whole, whole, whole + chunk(b"data: who is this?\n\n"))
    assert stage.tally() == Tally(delivered=30, corrupt=1)


def test_a_message_of_an_earlier_phase_does_not_count(stage: Stage) -> None:
    frames = stage.open()
    late = b"data: " + Ledger(6).payload(0) + b"\n\n"
    whole = chunks(frames)
    stage.send(whole, chunk(late) + whole, whole)
    assert stage.tally() == Tally(delivered=30)


def test_a_gap_that_is_told_is_counted(stage: Stage) -> None:
    frames = stage.open()
    whole = chunks(frames)
    gap = b'event: hub.gap\ndata: {"channel":"demo_stream","missed":2,"reason":"slow_client"}\n\n'
    stage.send(whole, chunks([*frames[:4], gap, *frames[6:]]), whole)
    assert stage.tally() == Tally(delivered=28, lost=2, gaps=1)
    assert stage.ledger.gap_reasons == {"slow_client"}


def test_heartbeats_and_notices_of_the_server_are_no_fault(stage: Stage) -> None:
    frames = stage.open()
    whole = chunks(frames)
    between = [b":\n\n", b"id: 1-1\n\n", b"retry: 1\n\n", b"event: stream-open\ndata:\n\n"]
    stage.send(whole, chunks([*frames[:4], *between, *frames[4:]]), whole)
    assert stage.tally() == Tally(delivered=30)


@pytest.mark.parametrize("last", [b"", b"0\r\n\r\n"])
def test_a_stream_that_ends_early_is_broken(stage: Stage, last: bytes) -> None:
    frames = stage.open()
    whole = chunks(frames)
    stage.send(whole, chunks(frames[:6]) + last, whole)
    stage.server.streams[1].close()
    assert stage.tally() == Tally(delivered=26, lost=4, broken=1)


def test_broken_chunk_framing_ends_a_stream(stage: Stage) -> None:
    frames = stage.open()
    whole = chunks(frames)
    stage.send(whole, chunks(frames[:6]) + b"zz\r\n" + chunks(frames[6:]), whole)
    assert stage.tally() == Tally(delivered=26, lost=4, broken=1)


def test_streams_come_back_with_their_ids_and_what_they_had_is_doubled(stage: Stage) -> None:
    ledger = Ledger(7)
    payloads = [ledger.payload(time.perf_counter_ns()) for _ in range(4)]
    frames = [STYLES["id before data"](payload, n) for n, payload in enumerate(payloads)]
    stage.server.head = HEAD + chunks(frames[1:3])
    stage.crowd.come_back(3, ledger, [b"1-1", b"1-2"], 5)
    asked = [request.partition(b"Last-Event-ID: ")[2] for request in stage.server.requests]
    assert sorted(asked) == [b"1-1\r\n\r\n", b"1-1\r\n\r\n", b"1-2\r\n\r\n"]
    # Two have missed messages 1 to 3, one has missed 2 and 3; each gets 1 and 2.
    assert stage.tally() == Tally(delivered=5, lost=3, doubled=1)


def test_a_stream_that_is_refused_is_an_error(stage: Stage) -> None:
    stage.server.head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    with pytest.raises(BenchError, match="stream 1 could not be opened: status 503"):
        stage.crowd.open(1, 5)
