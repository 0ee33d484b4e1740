"""The benchmark as a command: what is missing, what fails, what an interrupt ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench import __main__ as command_line
from bench import report, servers
from bench.errors import BenchError
from bench.process import Child, cpu_seconds, forget_memory_peak, memory_peak_bytes
from bench.results import Results
from bench.scenarios import Live
from bench.servers import SERVERS, Hub, Place, nchan
from tests.support.servers import ROOT
from tests.support.waiting import wait_until


def run_loads(results: Results, server: servers.Server, place: Place) -> str:
    return command_line._measure(results, 1, Live("live-1000", 1, 1, 1), server, place)


def test_a_missing_nginx_is_a_note_and_not_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nchan, "_nginx", lambda: "")
    results = Results()
    server = next(server for server in SERVERS if server.name == "nchan")
    line = run_loads(results, server, Place(0, 0, 1, 1))
    assert "apt install nginx libnginx-mod-nchan" in line
    assert "apt install nginx libnginx-mod-nchan" in report.tables(
        results, [Live("live-1000", 1, 1, 1)], SERVERS
    )
    assert not results.failed


@pytest.mark.parametrize("name", ["mercure", "centrifugo"])
def test_a_missing_program_is_a_note_and_not_an_end(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    server = next(server for server in SERVERS if server.name == name)
    results = Results()
    assert "go install github.com/" in run_loads(results, server, Place(0, 0, 1, 1))
    assert not results.failed


def test_a_whole_run_measures_once_what_no_target_refers_to() -> None:
    compared = [server for server in SERVERS if server.name in {"hub", "nchan", "mercure"}]

    def names(repeat: int, whole: bool) -> list[str]:
        return [one.name for one in command_line._taking_part(compared, repeat, whole=whole)]

    assert names(1, whole=True) == ["hub", "nchan", "mercure"]
    assert names(2, whole=True) == ["nchan", "hub"]
    assert names(3, whole=True) == ["hub", "nchan"]
    assert names(2, whole=False) == ["nchan", "mercure", "hub"]
    assert names(3, whole=False) == ["mercure", "hub", "nchan"]


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
