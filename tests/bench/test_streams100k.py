"""The load of very many streams: what its clients count, its limits, and a small run on the real hub."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.loop import Loop
from bench.streams100k import __main__ as command_line
from bench.streams100k import report
from bench.streams100k.client import Crowd
from bench.streams100k.events import decode, message
from bench.streams100k.plan import Plan
from bench.streams100k.results import Results
from bench.streams100k.talk import Orders, Report, report_line, report_of, total
from tests.support.bench_stage import HEAD, chunk
from tests.support.servers import ROOT
from tests.support.waiting import wait_until

BEGIN = chunk(b"retry: 10\n\nid: 7-0\n\n")


def event(number: int, offset: int) -> bytes:
    return b"id: 7-%d\ndata: %b\n\n" % (offset, message(number))


# -- what a read means


def test_whole_events_are_read_and_the_rest_is_kept() -> None:
    whole = chunk(event(0, 1)) + chunk(event(1, 2) + b":\nid: 7-2\n\n")
    piece = decode(whole + b"1f")
    assert piece.numbers == (0, 1)
    assert piece.positions == ((7, 1), (7, 2))
    assert (piece.last_id, piece.rest) == (b"7-2", b"1f")
    assert not piece.corrupt
    assert not piece.ended


def test_an_event_is_found_wherever_it_is_split() -> None:
    data = BEGIN + chunk(event(0, 1)[:40]) + chunk(event(0, 1)[40:])
    for cut in range(1, len(data)):
        first = decode(data[:cut])
        second = decode(first.rest + data[cut:])
        assert first.numbers + second.numbers == (0,)
        assert {first.retry_ms, second.retry_ms} >= {10}
        assert not first.corrupt + second.corrupt
        assert not second.rest


@pytest.mark.parametrize(
    "data",
    [
        chunk(event(0, 1).replace(b"...", b"..,", 1)),
        chunk(b"data: %b\n\n" % message(0)),
        b"x\r\n\r\n",
        b"1\r\nab\r\n",
        chunk(b"id: 7-1\n") + b"0\r\n\r\n",
        b"a line that is too long for the size of a chunk",
    ],
    ids=["a changed byte", "no id", "no size", "a wrong size", "half an event", "a long line"],
)
def test_what_is_not_whole_is_corrupt(data: bytes) -> None:
    assert decode(data).corrupt == 1


def test_the_last_chunk_ends_a_stream() -> None:
    assert decode(chunk(b"retry: 5\n\n") + b"0\r\n\r\n").ended


# -- what a client counts


class Stage:
    """One client on a server that says what a test says."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.loop = Loop()
        port = self.listener.getsockname()[1]
        self.crowd = Crowd(self.loop, Orders(3, port, 1, 1000.0))

    def accept(self) -> socket.socket:
        """Waits for its next connection, and answers it."""
        stream: socket.socket | None = None
        while stream is None:
            self.turn()
            try:
                stream, self.address = self.listener.accept()
            except BlockingIOError:
                continue
        stream.setblocking(False)
        self.request = b""
        while not self.request.endswith(b"\r\n\r\n"):
            self.turn()
            try:
                self.request += stream.recv(10_000)
            except BlockingIOError:
                continue
        stream.sendall(HEAD + BEGIN)
        return stream

    def turn(self) -> None:
        self.crowd.connect_due()
        self.loop.turn(0.01)

    def until(self, name: str, value: int) -> None:
        deadline = time.monotonic() + 5
        while getattr(self.crowd.report(0), name) != value:
            assert time.monotonic() < deadline, self.crowd.report(0)
            self.turn()

    def close(self) -> None:
        self.crowd.close()
        self.loop.close()
        self.listener.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    with closing(Stage()) as stage:
        yield stage


def test_a_client_comes_back_with_its_last_id_from_its_own_address(stage: Stage) -> None:
    with stage.accept() as stream:
        assert stage.address[0] == "127.13.0.1"
        assert b"Last-Event-ID" not in stage.request
        stream.sendall(chunk(event(0, 1)) + b"0\r\n\r\n")
    stage.until("ended", 1)
    with stage.accept():
        assert b"\r\nLast-Event-ID: 7-1\r\n" in stage.request
        stage.until("open", 1)
    stage.until("cut", 1)
    counted = stage.crowd.report(1)
    assert (counted.opened, counted.begun, counted.ended, counted.cut) == (2, 1, 1, 1)
    assert not any(counted.faults().values())


def test_every_fault_is_counted(stage: Stage) -> None:
    gap = b'event: hub.gap\ndata: {"missed": null, "reason": "restart"}\n\n'
    with stage.accept() as stream:
        for body in (event(0, 1), event(3, 4), event(3, 5), event(4, 5), gap, b"data: x\n\n"):
            stream.sendall(chunk(body))
        stage.until("corrupt", 1)
        counted = stage.crowd.report(8)
    assert counted.faults() == {
        "lost": 2,  # 1 and 2
        "missing": 3,  # 5 to 7
        "doubled": 1,
        "disordered": 1,
        "corrupt": 1,
        "gaps": 1,
        "refused": 0,
    }


def test_who_is_to_leave_does_not_come_back(stage: Stage) -> None:
    with stage.accept() as stream:
        stage.crowd.leave()
        stream.sendall(b"0\r\n\r\n")
    stage.until("ended", 1)
    assert stage.crowd.report(0).open == 0
    for _ in range(5):
        stage.turn()
    with pytest.raises(BlockingIOError):
        stage.listener.accept()


def test_reports_add_up() -> None:
    first = Report(open=2, lost=1, last_opened_at=5.0, received={0: (2, 7.0)}, strange={"x": 1})
    second = Report(open=3, last_opened_at=4.0, received={0: (3, 6.0), 1: (1, 8.0)})
    whole = total(report_of(report_line(each)) for each in (first, second))
    assert (whole.open, whole.lost, whole.last_opened_at) == (5, 1, 5.0)
    assert whole.received == {0: (5, 7.0), 1: (1, 8.0)}
    assert whole.strange == {"x": 1}


# -- a run


def test_a_load_that_does_not_fit_is_told_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 20_000))
    assert Plan().require_files() == 20_000 - 64
    with pytest.raises(
        BenchError, match=r"a worker needs 24,465 streams and may open 20,000 files"
    ):
        Plan(workers=5).require_files()
    with pytest.raises(BenchError, match="a client process needs 33,334 streams"):
        Plan(clients=3).require_files()


def test_the_greatest_share_is_the_first() -> None:
    assert Plan(streams=10, clients=4).shares() == [3, 3, 2, 2]


def test_a_run_that_did_not_end_is_wrong() -> None:
    assert Results().wrong(10) == ["the run did not come to its end"]
    assert "deliveries" in report.table(Plan(), Results())


def test_an_error_in_the_log_is_wrong_and_a_warning_is_told() -> None:
    results = Results(
        log="1 ERROR relay: Worker 1 (process 9) ended with code -9. Starting another.\n"
        "2 ERROR relay: oh\n3 WARNING relay: ah\n4 WARNING relay: ah\n"
    )
    assert results.wrong(10)[1:] == ["the hub logged: 2 ERROR relay: oh"]
    assert "- The hub warned: relay: ah (2 times)" in report.verdict(Plan(), results)


@pytest.mark.long
def test_two_thousand_streams_of_the_real_hub_lose_nothing() -> None:
    plan = Plan(2_000, workers=2, clients=2, idle_seconds=0.5, drain_seconds=1.0, messages=1)
    results = Results()
    command_line.measure(plan, results)
    assert results.wrong(plan.streams) == []
    assert results.killed is not None
    assert results.rolled is not None
    assert 900 < results.killed.streams < 1_100  # half of them, within 10 %
    assert results.report.received.keys() == {*range(results.published)}
    assert {count for count, _ in results.report.received.values()} == {2_000}
    assert results.report.opened == 2_000 + results.killed.streams + 2_000
    assert results.rolled.messages >= 2
    page = report.document(plan, results, "", datetime.now(), [])
    assert "Nothing was lost, doubled or left behind." in page


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_every_process(number: signal.Signals) -> None:
    words = ["--streams", "100", "--workers", "2", "--clients", "1", "--idle", "60"]
    with subprocess.Popen(
        [sys.executable, "-m", "bench.streams100k", *words],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background
    ) as run:
        assert run.stderr is not None
        try:
            for line in run.stderr:
                if "rest" in line:
                    break
            started = descendants(run.pid)
            assert len(started) == 5  # Redis, the parent, two workers, a client process
            run.send_signal(number)
            _, errors = run.communicate(timeout=30)
        finally:
            run.kill()
    assert run.returncode == 128 + number
    assert f"ended by {number.name}; so is every process" in errors
    assert "Traceback" not in errors
    wait_until(lambda: not any(map(runs, started)), "they have ended")


def descendants(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        found += map(int, Path(f"/proc/{each}/task/{each}/children").read_text().split())
    return found[1:]


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
