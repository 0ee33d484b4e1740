"""A client that comes back, or asks for what was before: on the real hub and a real Redis."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from urllib.parse import quote

import pytest
from httpx_sse import ServerSentEvent

from relay.wire.position import Position
from tests.support.client import Stream, ask_and_go_on, open_raw_stream, raw_request, read_until
from tests.support.history import (
    LOG,
    collect,
    logged,
    newest,
    numbers,
    publish,
    read_to,
    shown,
    wait_until_logged,
)
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.waiting import wait_until


@pytest.mark.parametrize("way", ["header", "query"])
def test_the_stream_goes_on_after_the_last_event_id(
    hub: HubProcess, redis_server: RedisServer, way: str
) -> None:
    events = collect(hub, redis_server, 10)
    publish(redis_server, 11, 12)
    path = "/stream/" if way == "header" else f"/stream/?last_event_id={events[6].id}"
    with Stream(hub.url, path, last_id=events[6].id if way == "header" else "") as stream:
        publish(redis_server, 13, 13)
        found = read_to(stream, "13")
    assert shown(found) == numbers(8, 13)
    assert [e.id for e in found[:3]] == [e.id for e in events[7:]]


def test_the_header_wins_over_the_query(hub: HubProcess, redis_server: RedisServer) -> None:
    events = collect(hub, redis_server, 5)
    path = f"/stream/?last_event_id={events[0].id}"
    with Stream(hub.url, path, last_id=events[3].id) as stream:
        assert shown(read_to(stream, "5")) == ["5"]


def test_any_process_continues_also_one_that_has_just_started(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    first = start_hub()
    events = collect(first, redis_server, 300)
    second = start_hub()
    publish(redis_server, 301, 302)
    for hub in (first, second):
        for event in (events[0], events[150], events[-1]):
            with Stream(hub.url, last_id=event.id) as stream:
                assert shown(read_to(stream, "302")) == numbers(int(event.data) + 1, 302)


def test_a_quiet_client_that_has_seen_nothing_continues_too(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub()
    with Stream(hub.url) as stream:
        while not stream.last_id:
            stream.line()
            stream._decoder.decode(stream.lines[-1].decode().rstrip("\n"))
            stream.last_id = stream._decoder._last_event_id
    start_hub()
    publish(redis_server, 1, 3)
    with Stream(hub.url, last_id=stream.last_id) as again:
        assert shown(read_to(again, "3")) == numbers(1, 3)


def test_clients_that_change_processes_on_a_channel_without_messages_get_no_gap(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    """The second process has the channel before the first has written anything."""
    hubs = [start_hub(RELAY_CHANNELS="new.*") for _ in range(2)]
    paths = [f"/stream/?channel=new.{number}" for number in range(10)]

    def first_id(hub: HubProcess, path: str) -> str:
        with Stream(hub.url, path) as stream:
            return next(
                line.removeprefix(b"id: ").decode()
                for line in iter(stream.line, None)
                if line.startswith(b"id: ")
            )

    with ThreadPoolExecutor(20) as threads:
        places = [(hub, path) for path in paths for hub in hubs]
        ids = list(threads.map(lambda place: first_id(*place), places))
    crossed = [(hubs[not hubs.index(hub)], path) for hub, path in places]
    with ExitStack() as stack:
        streams = [
            stack.enter_context(Stream(hub.url, path, last_id=last_id))
            for (hub, path), last_id in zip(crossed, ids, strict=True)
        ]
        for path in paths:
            redis_server.publish("1", path.partition("=")[2])
        for stream in streams:
            assert [(e.event, e.data) for e in read_to(stream, "1")] == [("message", "1")]


def test_a_heartbeat_at_the_end_of_a_channel_does_not_hold_up_a_stream_of_several(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_CHANNELS="a b", RELAY_HEARTBEAT_SECONDS="1")
    with Stream(hub.url, "/stream/?channel=a") as single:
        while single.line() != b":":  # the ring of the channel ends with it
            pass
        with Stream(hub.url, "/stream/?channel=a&channel=b&rewind=1") as both:
            wait_until(lambda: hub.health()["streams_open"] == 2, "both are open")
            redis_server.publish("1", "a")
            redis_server.publish("2", "b")
            assert both.data(2) == ["1", "2"]


def test_a_history_of_nothing_but_boundaries_does_not_end_the_stream(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub()
    last = collect(hub, redis_server, 3)[-1]
    start_hub()  # a second epoch, and a third, linked and without a message
    fresh = start_hub()
    wait_until(lambda: len(logged(redis_server)) == 6, "the boundaries are in the log")
    with Stream(fresh.url, last_id=last.id) as stream:
        fresh.wait_for_streams(1)
        wait_until(lambda: fresh.health()["resumed"] == 1, "it is live")
        publish(redis_server, 4, 4)
        assert shown(read_to(stream, "4")) == ["4"]


def test_what_was_cut_in_the_middle_comes_again(hub: HubProcess, redis_server: RedisServer) -> None:
    big = "x" * 300_000
    raw = open_raw_stream(hub.url, receive_buffer=4096)
    with raw:
        hub.wait_for_streams(1)
        redis_server.publish("whole")
        redis_server.publish(big)
        received = read_until(raw, b"data: xxxxxxxxxx")
    last = re.findall(rb"id: (\S+)\ndata: whole", received)[0].decode()
    with Stream(hub.url, last_id=last) as stream:
        assert stream.event().data == big


def _is_logged(redis_server: RedisServer, offset: int) -> bool:
    return newest(redis_server).offset >= offset


@pytest.mark.parametrize("end", ["ring", "log"])
def test_exactly_at_one_before_and_one_after_the_edge(
    start_hub: StartHub, redis_server: RedisServer, end: str
) -> None:
    """The edge is where the oldest message is that is still there."""
    history = 0 if end == "ring" else 150
    hub = start_hub(RELAY_RING_EVENTS=20, RELAY_HISTORY_SIZE=history)
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        for first in range(1, 1001, 10):  # half of the ring; with as much again it is written
            publish(redis_server, first, first + 9)
            events = read_to(stream, str(first + 9))
            if history:
                wait_until(partial(_is_logged, redis_server, first - 1), "it is written")
    if history:
        wait_until_logged(redis_server, events[-1].id)
    epoch = Position.parse(events[0].id)
    assert epoch is not None
    if history:
        oldest = logged(redis_server)[0].offset
        assert 1000 - 300 < oldest < 1000 - 150 + 2
        reason = "expired"
    else:
        oldest = 1000 - 20 + 1
        reason = "history-unavailable"
    for at, expected in [
        (oldest, numbers(oldest + 1, 1000)),
        (oldest - 1, numbers(oldest, 1000)),
        (oldest - 2, [f"{reason} 1", *numbers(oldest, 1000)]),
        (1, [f"{reason} {oldest - 2}", *numbers(oldest, 1000)]),
        (1000, []),
    ]:
        with Stream(hub.url, last_id=f"{epoch.epoch}-{at}") as stream:
            found: list[ServerSentEvent] = []
            while len(found) < len(expected):
                found.append(stream.event())
            assert shown(found) == expected
            for event in found:
                if event.event == "hub.gap":
                    told = event.json()
                    assert told["from"] == f"{epoch.epoch}-{at}"
                    assert told["to"] == event.id == f"{epoch.epoch}-{oldest - 1}"


JUNK = [b"junk", b"0-0", b"1-", b"9" * 5000, b"5-5;rm", b"<script>evil</script>", b"\xff\xfe\x01"]
QUERY_JUNK = ["%00", "evil%0d%0aX-Evil:1", "1732400000000-1%00", "evil" * 300, "%ff%fe"]


@pytest.fixture
def alive(hub: HubProcess, redis_server: RedisServer) -> Iterator[Position]:
    """A hub that has counted one message, at this position."""
    event = collect(hub, redis_server, 1)[0]
    position = Position.parse(event.id)
    assert position is not None
    yield position
    assert "evil" not in hub.log()
    assert "Traceback" not in hub.log()


def gap_and_then_live(stream: Stream, redis_server: RedisServer, at: Position) -> dict[str, object]:
    gap = stream.event()
    assert (gap.event, gap.id) == ("hub.gap", str(at))
    redis_server.publish("next")
    event = stream.event()
    assert (event.data, event.id) == ("next", str(Position(at.epoch, at.offset + 1)))
    told = gap.json()
    assert (told["to"], told["missed"], told["reason"]) == (str(at), None, "unknown-id")
    return dict(told)


@pytest.mark.parametrize("text", JUNK)
def test_a_junk_id_is_a_gap_and_never_an_error(
    alive: Position, hub: HubProcess, redis_server: RedisServer, text: bytes
) -> None:
    request = b"GET /stream/ HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: %b\r\n\r\n" % text
    with raw_request(hub.url, request) as connection:
        received = read_until(connection, b"unknown-id")
        assert b" 200 OK" in received
        assert b"evil" not in received


@pytest.mark.parametrize("text", QUERY_JUNK)
def test_a_junk_id_in_the_query_is_a_gap_too(
    alive: Position, hub: HubProcess, redis_server: RedisServer, text: str
) -> None:
    with Stream(hub.url, f"/stream/?last_event_id={text}") as stream:
        assert gap_and_then_live(stream, redis_server, alive)["from"] is None
        assert b"evil" not in b"".join(stream.lines)


@pytest.mark.parametrize("ahead", [(0, 1), (0, 10**6), (10**9, 0)], ids=["one", "far", "epoch"])
def test_a_future_id_is_a_gap(
    alive: Position, hub: HubProcess, redis_server: RedisServer, ahead: tuple[int, int]
) -> None:
    future = Position(alive.epoch + ahead[0], alive.offset + ahead[1])
    with Stream(hub.url, last_id=str(future)) as stream:
        assert gap_and_then_live(stream, redis_server, alive)["from"] == str(future)


def test_a_foreign_id_of_the_past_gets_all_that_is_kept(
    alive: Position, hub: HubProcess, redis_server: RedisServer
) -> None:
    with Stream(hub.url, last_id=f"{alive.epoch - 5000}-7") as stream:
        events = read_to(stream, "1")
    assert shown(events) == ["unheard None", "1"]
    assert events[0].json()["from"] == f"{alive.epoch - 5000}-7"


@pytest.mark.parametrize("restart", [False, True], ids=["ring", "log"])
@pytest.mark.parametrize(
    ("query", "first"),
    [("rewind=3", 198), ("rewind=150", 51), ("rewind=all", 1), ("rewind=999", 1)],
)
def test_rewind_gives_the_last_messages_then_live(
    start_hub: StartHub, redis_server: RedisServer, restart: bool, query: str, first: int
) -> None:
    hub = start_hub()
    collect(hub, redis_server, 200)
    hub = start_hub() if restart else hub
    with Stream(hub.url, f"/stream/?{query}") as stream:
        assert shown(read_to(stream, "200")) == numbers(first, 200)
        publish(redis_server, 201, 201)
        assert shown(read_to(stream, "201")) == ["201"]


@pytest.mark.parametrize("restart", [False, True], ids=["ring", "log"])
def test_since_gives_what_came_from_that_time_on(
    start_hub: StartHub, redis_server: RedisServer, restart: bool
) -> None:
    hub = start_hub()
    first = collect(hub, redis_server, 50)
    with redis_server.client() as client:
        seconds, micros = client.time()
    middle = seconds * 1000 + micros // 1000 + 1
    wait_until(lambda: int(redis_server.client().time()[0] * 1000) > middle, "time passes", 5)
    with Stream(hub.url, last_id=first[-1].id) as stream:
        publish(redis_server, 51, 100)
        last = read_to(stream, "100")[-1]
    wait_until_logged(redis_server, last.id)
    hub = start_hub() if restart else hub
    with Stream(hub.url, f"/stream/?since={middle}") as stream:
        assert shown(read_to(stream, "100")) == numbers(51, 100)
    with Stream(hub.url, "/stream/?since=1h") as stream:
        found = shown(read_to(stream, "100"))
        assert found[0] in {"unheard None", "history-unavailable None"}
        assert found[1:] == numbers(1, 100)
    with Stream(hub.url, f"/stream/?since={quote('2999-01-01T00:00:00+01:00')}") as stream:
        publish(redis_server, 101, 101)
        assert shown(read_to(stream, "101")) == ["101"]


@pytest.mark.parametrize("history_seconds", [0, 60])
@pytest.mark.parametrize("query", ["rewind=5", "rewind=all", "since=10m", "since=4102444800000"])
def test_a_past_that_is_empty_is_told_by_an_id_at_once(
    start_hub: StartHub, redis_server: RedisServer, query: str, history_seconds: int
) -> None:
    """Without one a client would be in doubt until the first heartbeat."""
    hub = start_hub(RELAY_HISTORY_SECONDS=history_seconds)
    with Stream(hub.url, f"/stream/?{query}") as stream:
        head = [stream.line() for _ in range(4)]
    assert re.fullmatch(rb"retry: \d+\n:heartbeat=15\n\nid: \d+-0", b"\n".join(head)), head
    publish(redis_server, 1, 2)
    with Stream(hub.url, last_id=head[-1].decode().split()[1]) as stream:
        assert shown(read_to(stream, "2")) == numbers(1, 2)


@pytest.mark.parametrize("query", ["rewind=x", "rewind=-1", "since=evil", "since=10w"])
def test_an_invalid_query_is_explained_to_the_developer(hub: HubProcess, query: str) -> None:
    found = ask_and_go_on(hub.url, f"/stream/?{query}")
    assert found.status == 400
    assert re.match(r"(rewind|since) is not valid\. Use ", found.detail)
    assert b"evil" not in found.body


def test_without_a_history_ids_and_the_ring_still_work(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_HISTORY_SECONDS=0)
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        publish(redis_server, 1, 5)
        events = read_to(stream, "5")
    with Stream(hub.url, last_id=events[1].id) as stream:
        assert shown(read_to(stream, "5")) == numbers(3, 5)
    with Stream(hub.url, "/stream/?rewind=2") as stream:
        assert shown(read_to(stream, "5")) == numbers(4, 5)
    with redis_server.client() as client:
        assert client.exists(LOG) == 0


def test_a_gap_stands_between_two_epochs_that_are_not_linked(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    """A chain of three epochs: linked, then with a time in which nobody listened."""
    hub = start_hub()
    first = collect(hub, redis_server, 3)
    other = start_hub()  # a second epoch, linked by the first process
    publish(redis_server, 4, 6)
    with Stream(other.url, last_id=first[0].id) as stream:
        assert shown(read_to(stream, "6")) == numbers(2, 6)
    assert (hub.stop(), other.stop()) == (0, 0)
    publish(redis_server, 7, 9)  # nobody hears these
    hub.start()
    publish(redis_server, 10, 12)
    for last_id, expected in [
        (first[0].id, [*numbers(2, 6), "unheard None", *numbers(10, 12)]),
        (first[2].id, [*numbers(4, 6), "unheard None", *numbers(10, 12)]),
    ]:
        with Stream(hub.url, last_id=last_id) as stream:
            assert shown(read_to(stream, "12")) == expected


def test_the_history_keeps_only_what_is_young_enough(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_HISTORY_SECONDS=2)
    collect(hub, redis_server, 5)
    with redis_server.client() as client:
        assert 0 < client.pttl(LOG) <= 2000
        wait_until(lambda: not client.exists(LOG), "the history has expired", 5)
    publish(redis_server, 6, 6)
    with Stream(hub.url, "/stream/?rewind=all") as stream:
        read_to(stream, "6")


def test_every_key_and_channel_of_the_hub_has_the_prefix(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_PREFIX="site:hub")
    with redis_server.client() as client, client.pubsub() as pubsub:
        pubsub.psubscribe("*")
        pubsub.get_message(timeout=1)
        with Stream(hub.url) as stream:
            hub.wait_for_streams(1)
            redis_server.publish("one")
            stream.event()
        wait_until(lambda: client.exists("site:hub:{demo_stream}:log"), "the history is written")
        # What begins with asgi is the channel layer's, which has a prefix of its own.
        assert all(key.startswith((b"site:hub:", b"asgi")) for key in client.keys("*"))
        seen = []
        while message := pubsub.get_message(timeout=1.5):
            seen.append((message["channel"], message["data"]))
            if message["channel"].startswith(b"site:hub:probe:"):
                break
        assert [data for channel, data in seen if channel == b"demo_stream"] == [b"one"]
        assert all(c == b"demo_stream" or c.startswith(b"site:hub:") for c, _ in seen)


def test_gap_events_are_what_the_protocol_says(hub: HubProcess, redis_server: RedisServer) -> None:
    collect(hub, redis_server, 1)
    with Stream(hub.url, last_id="9999999999999-1") as stream:
        gap = stream.event()
    assert list(json.loads(gap.data)) == ["channel", "from", "to", "missed", "reason"]
