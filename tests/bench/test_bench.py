"""The benchmark sees what is wrong: with a server that cheats, and with the real ones."""

import math
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from bench import __main__ as command_line
from bench import audience, report, scenarios, servers
from bench.client import Crowd
from bench.errors import BenchError, Missing
from bench.figures import TARGETS
from bench.histogram import Histogram
from bench.ledger import Ledger, Reception, Tally, tally
from bench.loop import READABLE, Loop
from bench.meter import Cost
from bench.process import Child, cpu_seconds, forget_memory_peak, memory_peak_bytes
from bench.publisher import HttpPost, RedisPublish
from bench.results import Results
from bench.scenarios import FlatOut, Idle, Live, LogCost, Result, Resume
from bench.servers import SERVERS, Hub, Place
from bench.wire import ChunkedBody, EventStream, WireError, message_ids, read_head
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
RETRY = b"retry: 2000\n\n"

STYLES: dict[str, Callable[[bytes, int], bytes]] = {
    "data alone": lambda payload, n: b"data: %b\n\n" % payload,
    "id after data": lambda payload, n: b"data: %b\nid: 1732400000000-%d\n\n" % (payload, n),
    "id before data": lambda payload, n: b"id: 1732400000:%d\ndata: %b\n\n" % (n, payload),
    "with an event name": lambda payload, n: b"event: message\ndata: %b\n\n" % payload,
}


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


class FakeServer:
    """Opens streams on request, and sends exactly the bytes it is told to."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1", self.listener.getsockname()[1]
        self.streams: list[socket.socket] = []
        self.head = HEAD + chunk(RETRY)
        self.requests: list[bytes] = []
        loop.add(self.listener.fileno(), READABLE, self.accept)

    def accept(self, mask: int) -> None:
        stream, _ = self.listener.accept()
        self.streams.append(stream)
        self.loop.add(stream.fileno(), READABLE, lambda mask: self.answer(stream))

    def answer(self, stream: socket.socket) -> None:
        self.loop.remove(stream.fileno())
        self.requests.append(stream.recv(10_000))
        assert self.requests[-1].startswith(b"GET /stream/ HTTP/1.1\r\n")
        stream.sendall(self.head)

    def close(self) -> None:
        for thing in (*self.streams, self.listener):
            thing.close()


class Stage:
    """A crowd of three streams on a fake server, and ten messages to come."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.server = FakeServer(loop)
        self.crowd = Crowd(loop, self.server.address, "/stream/")

    def open(self) -> list[bytes]:
        """Returns the frames that every stream should get."""
        self.crowd.open(3, 5)
        self.ledger = Ledger(7)
        self.crowd.expect(self.ledger)
        payloads = [self.ledger.payload(time.perf_counter_ns()) for _ in range(10)]
        return [STYLES["id after data"](payload, n) for n, payload in enumerate(payloads)]

    def send(self, *bodies: bytes) -> None:
        """What each stream gets, already in chunks."""
        for stream, body in zip(self.server.streams, bodies, strict=True):
            stream.sendall(body)

    def tally(self) -> Tally:
        deadline = time.perf_counter() + 5
        while self.loop.turn(0.05):
            assert time.perf_counter() < deadline
        return self.crowd.check()


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Loop() as loop:
        stage = Stage(loop)
        yield stage
        stage.crowd.close()
        stage.server.close()


def chunks(frames: list[bytes]) -> bytes:
    return b"".join(map(chunk, frames))


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


# -- the wire


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


# -- publishing


def test_answers_of_redis_are_counted_and_a_refusal_is_an_error() -> None:
    redis = RedisPublish(1, "demo_stream")
    assert redis.request(b"x" * 3) == (
        b"*3\r\n$7\r\nPUBLISH\r\n$11\r\ndemo_stream\r\n$3\r\nxxx\r\n"
    )
    assert redis.count_answers(b":1\r\n:10\r\n:1") == (2, b":1")
    with pytest.raises(BenchError, match="Redis refused a message: b'-NOPERM no'"):
        redis.count_answers(b":1\r\n-NOPERM no\r\n")


def test_answers_over_http_are_counted_wherever_they_are_cut() -> None:
    http = HttpPost(1, "/publish/")
    answers = b"HTTP/1.1 201 Created\r\n\r\n{}HTTP/1.1 202 Accepted\r\n\r\n"
    for at in range(len(answers)):
        first, rest = http.count_answers(answers[:at])
        second, _ = http.count_answers(rest + answers[at:])
        assert first + second == 2
    with pytest.raises(BenchError, match="refused"):
        http.count_answers(b"HTTP/1.1 413 Too Large\r\n\r\n")


# -- figures


def test_percentiles_are_values_that_occurred() -> None:
    values = [random.randrange(1000) for _ in range(997)]
    histogram = Histogram(values[:500])
    histogram.extend(values[500:-1])
    histogram.add(values[-1])
    for percent in (0, 1, 50, 90, 99, 99.9, 100):
        value = histogram.percentile(percent)
        assert value in values
        assert sum(v <= value for v in values) >= percent / 100 * len(values)
        assert sum(v < value for v in values) < max(percent / 100 * len(values), 1)


def test_percentiles_of_few_values_are_exact() -> None:
    histogram = Histogram([40, 10, 30, 20])
    assert [histogram.percentile(p) for p in (0, 25, 26, 50, 75, 76, 100)] == [
        *(10, 10, 20, 20, 30, 40, 40)
    ]
    histogram.add(5)
    assert histogram.percentile(0) == 5
    with pytest.raises(ValueError, match="no value"):
        Histogram().percentile(50)


def result(client_core: float = 0.5, others: float = 0.0, **figures: float) -> Result:
    cost = Cost(seconds=1.0, cpu_seconds=0.25, client_core=client_core, others=others)
    return Result(figures, Tally(delivered=10), cost)


def three_repeats() -> Results:
    results = Results()
    for repeat, (mine, base) in enumerate([(10.0, 10.0), (12.0, 24.0), (30.0, 20.0)]):
        results.add("live-1000", "hub", repeat, result(cpu_us=mine))
        results.add("live-1000", "nchan", repeat, result(cpu_us=base))
    return results


def test_a_figure_is_the_median_and_a_ratio_the_median_of_ratios_in_one_repeat() -> None:
    results = three_repeats()
    assert results.median("live-1000", "hub", "cpu_us") == 12
    assert results.ratio("live-1000", "hub", "cpu_us") == 1.0  # of 1.0, 0.5 and 1.5
    assert results.tally("live-1000", "hub") == Tally(delivered=30)
    assert math.isnan(results.median("live-1000", "hub", "p99_ms"))


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_tables_show_targets_ratios_faults_and_what_is_missing() -> None:
    results = three_repeats()
    lost = Result({"cpu_us": 1.0}, Tally(lost=3, delivered=1, doubled=2), result().cost)
    results.add("live-1000", "floor", 1, lost)
    results.note("live-1000", "django-eventstream", "not run, not installed")
    text = report.tables(results, [Live("live-1000", 1_000, 50, 10)], SERVERS)
    shown = rows(text)
    assert ["live-1000", "CPU µs per delivery", "≤ 1 × nchan", "1.000 × nchan", "yes"] in shown
    assert ["live-1000", "p99 ms", "≤ 1 × nchan", "–", "not measured"] in shown
    assert ["Relay Hub", "12.00 (1.00 ×)", "–", "–", "–", "none", "25%", "50%"] in shown
    assert "3 lost (75.0%), 2 doubled" in text
    assert "- django-eventstream: not run, not installed." in text


def test_a_busy_client_and_a_disturbed_core_are_marked() -> None:
    results = Results()
    results.add("idle", "hub", 1, result(client_core=0.95, open_us=500))
    results.add("idle", "nchan", 1, result(others=0.2, open_us=40))
    shown = rows(report.tables(results, [Idle("idle", 10, 1)], SERVERS))
    assert ["idle", "CPU µs per opened stream", "≤ 400", "500", "no"] in shown
    assert [row[-1] for row in shown if row[0] == "Relay Hub"] == ["95% †"]
    assert [row[-1] for row in shown if row[0] == "nchan"] == ["50% ‡"]


def test_every_target_is_of_a_load_and_figure_that_there_are() -> None:
    for loads in (scenarios.scenarios(quick=False), scenarios.scenarios(quick=True)):
        figures = {(load.name, figure) for load in loads for figure in load.figures}
        assert {(target.scenario, target.figure) for target in TARGETS} <= figures


# -- real servers


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(audience, "SETTLE_SECONDS", 0.2)
    core = min(os.sched_getaffinity(0))
    with servers.start_redis(core) as (port, pid):
        yield Place(max(os.sched_getaffinity(0)), core, port, pid)


def test_the_real_hub_loses_and_doubles_nothing(place: Place) -> None:
    hub = Hub("hub", "hub, quick heartbeats", {"RELAY_HEARTBEAT_SECONDS": "0.8"})
    measured = Live("live", 40, 200, 1).run(hub, place)
    assert measured.tally == Tally(delivered=40 * 200)
    assert measured.cost.cpu_seconds > 0
    assert 0 < measured.figures["p50_ms"] <= measured.figures["p99_ms"]
    assert measured.figures["cpu_us"] > 0


@pytest.mark.parametrize("name", ["floor", "nchan"])
def test_other_servers_are_checked_in_the_same_way(place: Place, name: str) -> None:
    server = next(server for server in SERVERS if server.name == name)
    if not server.installed():
        pytest.skip(f"{server.title} is not installed")
    measured = FlatOut("burst", 20, 100).run(server, place)
    assert measured.tally == Tally(delivered=20 * 100)
    assert measured.figures["deliveries_per_s"] > 0


def test_idle_streams_of_the_real_hub_have_a_cost_and_stay_open(place: Place) -> None:
    measured = Idle("idle", 100, 0.3).run(Hub("hub", "hub"), place)
    assert measured.tally == Tally()
    assert measured.figures["open_us"] > 0
    assert measured.figures["memory_kib"] > 0


def test_every_stream_of_the_load_with_channels_has_one_of_its_own(place: Place) -> None:
    load = Idle("channels", 30, 0.3, apart=True, settle_seconds=0.5)
    hub, floor = (server for server in SERVERS if server.name in {"hub", "floor"})
    with redis.Redis(port=place.redis_port) as client:
        measured = load.run(hub, place)
        assert measured.tally == Tally()
        assert measured.figures["memory_kib"] > 0
        assert len(client.keys("relay:{demo_stream.*}:epoch")) == 30
    with pytest.raises(Missing, match="one channel"):
        load.run(floor, place)


@pytest.mark.parametrize("restarted", [False, True])
def test_who_comes_back_to_the_real_hub_gets_all_that_was_missed(
    place: Place, restarted: bool
) -> None:
    load = Resume("resume", 60, 40, restarted=restarted)
    measured = load.run(Hub("hub", "hub"), place)
    missed = sum(40 - 1 - n % 40 for n in range(60))
    assert measured.tally == Tally(delivered=missed + 60 * audience.WARM_UP_MESSAGES)
    assert measured.figures["all_live_s"] > 0
    assert measured.figures["history_reads"] < 30  # not one for each stream
    assert bool(measured.figures["history_reads"]) or not restarted


def test_who_cannot_come_back_is_left_out(place: Place) -> None:
    floor = next(server for server in SERVERS if server.name == "floor")
    with pytest.raises(Missing, match="cannot come back"):
        Resume("resume", 1, 1).run(floor, place)


@pytest.mark.long
def test_log_on_and_log_off_run_side_by_side(place: Place) -> None:
    with redis.Redis(port=place.redis_port) as client:
        measured = LogCost("log", 20, 50, 1, rounds=2).run(Hub("hub", "hub"), place)
        assert client.keys("relay:{demo_stream}:log")
        assert not client.keys("*log_off*:log")
    assert measured.tally == Tally(delivered=2 * 2 * 20 * 50)
    figures = measured.figures
    assert figures["log_ratio"] == pytest.approx(figures["cpu_us"] / figures["off_cpu_us"])
    assert figures["off_cpu_us"] > 0
    floor = next(server for server in SERVERS if server.name == "floor")
    with pytest.raises(Missing, match="no log"):
        LogCost("log", 1, 1, 1).run(floor, place)


# -- the command


def run_loads(results: Results, server: servers.Server, place: Place) -> str:
    return command_line._measure(results, 1, Live("live-1000", 1, 1, 1), server, place)


def test_a_missing_nginx_is_a_note_and_not_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_nginx", lambda: "")
    results = Results()
    nchan = next(server for server in SERVERS if server.name == "nchan")
    line = run_loads(results, nchan, Place(0, 0, 1, 1))
    assert "apt install nginx libnginx-mod-nchan" in line
    assert "apt install nginx libnginx-mod-nchan" in report.tables(
        results, [Live("live-1000", 1, 1, 1)], SERVERS
    )
    assert not results.failed


def test_a_server_that_does_not_start_is_one_clear_line() -> None:
    results = Results()
    hub = Hub("hub", "Relay Hub", {"RELAY_RING_EVENTS": "none"})
    line = run_loads(results, hub, Place(0, 0, 1, 1))
    assert line.startswith("failed: Relay Hub ended (1): ")
    assert "RELAY_RING_EVENTS" in line
    assert results.failed


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_ends_with_its_block() -> None:
    with Child("sleep", ["sleep", "60"], min(os.sched_getaffinity(0))) as child:
        assert alive(child.pid)
    assert not alive(child.pid)


def test_cpu_time_and_memory_peak_of_a_child_are_seen() -> None:
    program = (
        "import sys, time\n"
        "while time.process_time() < 0.5: pass\n"
        "data = b'x' * (50 << 20); del data\n"
        "print(time.process_time(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        said = float(child.stdout.readline())
        assert said <= cpu_seconds([child.pid]) < said + 0.1
        assert memory_peak_bytes([child.pid]) > 50 << 20
        forget_memory_peak([child.pid])
        assert memory_peak_bytes([child.pid]) < 50 << 20
        child.kill()
    with pytest.raises(BenchError, match=f"CPU time of process {child.pid} cannot be read"):
        cpu_seconds([child.pid])


def test_children_end_when_the_benchmark_is_killed() -> None:
    program = (
        "import os, time; from bench.process import Child\n"
        "child = Child('sleep', ['sleep', '60'], min(os.sched_getaffinity(0)))\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
        wait_until(lambda: not alive(pid), "it has ended with its parent")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("running", [1, 2])
def test_an_interrupt_ends_every_process_and_says_so(number: signal.Signals, running: int) -> None:
    command = [sys.executable, "-m", "bench", "--quick", "--only", "idle", "--servers", "floor"]
    children: set[int] = set()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background
    ) as bench:

        def enough_run() -> bool:
            children.update(children_of(bench.pid))
            return len(children) >= running

        try:
            wait_until(enough_run, f"{running} run")
            bench.send_signal(number)
            _, errors = bench.communicate(timeout=20)
        finally:
            bench.kill()
    assert bench.returncode == 128 + number
    assert f"ended by {number.name}; so is every process" in errors
    assert "Traceback" not in errors
    assert not any(map(alive, children))


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--repeat", "0"], "'0' is not a number from 1 to 20"),
        (["--only", "nothing"], "invalid choice: 'nothing'"),
        (["--servers", "apache"], "invalid choice: 'apache'"),
    ],
)
def test_a_wrong_argument_is_told(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command_line.main(arguments)
    assert said in capsys.readouterr().err
