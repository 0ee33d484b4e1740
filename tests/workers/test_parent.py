"""The parent of workers: what it does when they die, hang, or are to be replaced."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from relay.workers import parent, process, slot
from relay.workers.cores import usable_cores
from relay.workers.listening import listen
from relay.workers.notify import ServiceManager
from relay.workers.parent import Parent, WorkersFailed
from relay.workers.process import Launch, start_directory
from relay.workers.words import Orders
from tests.support.waiting import until

WAIT_SECONDS = 30.0
"""Interpreters are started meanwhile, on a machine that may be busy."""

WORKER = """
import os, signal, socket, sys, threading, time
_, link = map(int, sys.argv[-1].partition("=")[2].split(","))
link = socket.socket(fileno=link)
orders = link.recv(1000)
log = open({log!r}, "a", buffering=1)
{first}
log.write("live %d\\n" % os.getpid())
link.send(b'"ready"\\n')
{then}
while (word := link.recv(100)):
    break
log.write("drained %d %r\\n" % (os.getpid(), word))
"""
"""Speaks the words of a worker, and logs what happens."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.touch()
    return path


class Stage:
    """A parent of two workers that run a script."""

    def __init__(self, log: Path, drain_bound: float = 0.1) -> None:
        self.log = log
        self.script = log.with_name("worker.py")
        self.write()
        self.sockets = listen("127.0.0.1", 0, 2)
        self.live = 0
        launch = Launch([sys.executable, str(self.script)], str(log.parent), Orders("redis://x"))
        self.parent = Parent(launch, self.sockets, drain_bound, self._on_live)

    def write(self, first: str = "", then: str = "") -> None:
        self.script.write_text(WORKER.format(log=str(self.log), first=first, then=then))

    def close(self) -> None:
        for each in self.sockets:
            each.close()

    def lines(self, word: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if line.startswith(word)]

    def pids(self) -> list[int]:
        return [int(line.split()[1]) for line in self.lines("live")]

    async def wait_for(self, word: str, number: int) -> None:
        await until(lambda: len(self.lines(word)) == number, WAIT_SECONDS)

    def _on_live(self) -> None:
        self.live += 1


@pytest.fixture
def stage(log: Path) -> Iterator[Stage]:
    with closing(Stage(log)) as stage:
        yield stage


async def run(stage: Stage) -> "asyncio.Task[None]":
    task = asyncio.create_task(stage.parent._run())
    await stage.wait_for("live", 2)
    await until(lambda: stage.live == 1, WAIT_SECONDS)
    return task


async def test_a_worker_that_dies_is_started_again(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    task = await run(stage)
    first, second = stage.pids()
    os.kill(first, signal.SIGKILL)
    await stage.wait_for("live", 3)
    assert second in stage.pids()
    [line] = [record.getMessage() for record in caplog.records]
    assert f"(process {first}) ended with code -9. Starting another." in line
    os.kill(os.getpid(), signal.SIGTERM)
    await task
    assert len(stage.lines("drained")) == 2


async def test_workers_that_do_not_start_end_it(stage: Stage) -> None:
    stage.write(first="sys.exit(3)")
    with pytest.raises(WorkersFailed, match="could not be started: their errors are above"):
        await stage.parent._run()
    assert not stage.live


async def test_workers_that_hang_at_the_start_are_said_to(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "SILENT_WAITS", 1)
    stage.write(first="time.sleep(60)")
    with pytest.raises(WorkersFailed, match="said nothing any more and was killed"):
        await stage.parent._run()


async def test_workers_that_take_too_long_to_start_are_said_to(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parent, "START_SECONDS", 0.3)
    stage.write(first="link.recv(100); sys.exit()")
    with pytest.raises(WorkersFailed, match=r"not live after 0\.3 s"):
        await stage.parent._run()


async def test_a_worker_that_dies_again_and_again_ends_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(slot, "BACKOFF_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(slot, "DEATHS", 3)
    task = await run(stage)
    stage.write(first="sys.exit(3)")
    os.kill(stage.pids()[0], signal.SIGKILL)
    with pytest.raises(WorkersFailed, match="again and again"):
        await task
    assert "has died 3 times in a row. Giving up." in caplog.text
    assert len(stage.lines("drained")) == 1  # the other one


async def test_one_that_lived_long_begins_anew_with_its_deaths(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "CALM_SECONDS", 0.0)
    monkeypatch.setattr(slot, "BACKOFF_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(slot, "DEATHS", 2)
    task = await run(stage)
    for deaths in range(1, 4):
        os.kill(stage.pids()[-1], signal.SIGKILL)
        await stage.wait_for("live", 2 + deaths)
    assert not task.done()
    os.kill(os.getpid(), signal.SIGTERM)
    await task


@pytest.fixture
def beating(stage: Stage) -> Stage:
    """Workers that say every 0.1 s that they live."""
    stage.write(
        then="threading.Thread(target=lambda: [(time.sleep(0.1), link.send(b'\"beat\"\\n'))"
        " for _ in range(600)], daemon=True).start()"
    )
    return stage


def be_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a worker that is silent for three seconds hangs; one that starts may take longer."""
    monkeypatch.setattr(process, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(process, "SILENT_WAITS", 30)


async def test_a_worker_that_says_nothing_any_more_is_killed(
    beating: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    task = await run(beating)
    with monkeypatch.context() as strict:
        be_strict(strict)
        os.kill(beating.pids()[0], signal.SIGSTOP)
        await until(lambda: "said nothing any more and was killed" in caplog.text, WAIT_SECONDS)
    await beating.wait_for("live", 3)
    assert caplog.text.count("said nothing any more and was killed. Starting another.") == 1
    os.kill(os.getpid(), signal.SIGTERM)
    await task


@pytest.mark.parametrize("all_sleep", [False, True], ids=["parent", "all"])
async def test_after_a_sleep_of_its_own_it_kills_no_worker(
    beating: Stage,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    all_sleep: bool,
) -> None:
    task = await run(beating)
    be_strict(monkeypatch)
    workers = beating.pids() if all_sleep else []
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(3.5)  # longer than a worker may be silent; holds the event loop
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    await asyncio.sleep(0.5)
    assert caplog.text == ""
    os.kill(os.getpid(), signal.SIGTERM)
    await task
    assert len(beating.lines("drained")) == 2


async def test_sighup_replaces_all_workers_when_the_new_ones_are_live(stage: Stage) -> None:
    task = await run(stage)
    old = stage.pids()
    os.kill(os.getpid(), signal.SIGHUP)
    await stage.wait_for("drained", 2)
    assert {line.split()[1] for line in stage.lines("drained")} == {str(pid) for pid in old}
    happened = [line.split()[0] for line in stage.log.read_text().splitlines()]
    assert happened == ["live"] * 4 + ["drained"] * 2
    assert not task.done()
    os.kill(os.getpid(), signal.SIGTERM)
    await task
    assert len(stage.lines("drained")) == 4


async def test_new_workers_that_do_not_become_live_change_nothing(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    task = await run(stage)
    one_ends = stage.log.with_name("one-ends")
    stage.write(
        first=f"""
try:
    os.mkdir({str(one_ends)!r})
    sys.exit(1)
except FileExistsError:
    time.sleep(60)
"""
    )
    for _ in range(2):
        caplog.clear()
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: "The old ones go on." in caplog.text, WAIT_SECONDS)
        one_ends.rmdir()
    assert stage.lines("drained") == []
    os.kill(os.getpid(), signal.SIGTERM)
    await task
    assert len(stage.lines("drained")) == 2


async def test_a_worker_that_does_not_end_is_killed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(parent, "END_SECONDS", 0.3)
    stage.write(then="signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)")
    task = await run(stage)
    os.kill(os.getpid(), signal.SIGTERM)
    await task
    for pid in stage.pids():
        assert f"Process {pid} did not end in time and is killed." in caplog.text
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_sigint_does_not_wait_for_streams(log: Path) -> None:
    with closing(Stage(log, drain_bound=60)) as stage:
        stage.write(then="time.sleep(60)")
        task = await run(stage)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.1)
        assert not task.done()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.wait_for(task, 5)


async def test_a_folder_that_is_gone_changes_nothing_for_the_workers_that_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "BACKOFF_SECONDS", (0.01, 0.02))
    release = tmp_path / "release"
    release.mkdir()
    (release / "log").touch()
    with closing(Stage(release / "log")) as stage:
        task = await run(stage)
        release.rename(tmp_path / "gone")
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: "The old ones go on." in caplog.text, WAIT_SECONDS)
        assert "A new worker cannot be started" in caplog.text
        os.kill(int(pids_in(tmp_path / "gone" / "log")[0]), signal.SIGKILL)
        await until(
            lambda: (
                "Worker 1 cannot be started" in caplog.text
                or "Worker 2 cannot be started" in caplog.text
            ),
            10,
        )
        (tmp_path / "gone").rename(release)
        await stage.wait_for("live", 3)
        os.kill(os.getpid(), signal.SIGTERM)
        await task
        assert len(stage.lines("drained")) == 2


def pids_in(log: Path) -> list[str]:
    return [line.split()[1] for line in log.read_text().splitlines()]


async def test_a_folder_that_was_never_there_is_one_clear_error(stage: Stage) -> None:
    launch = Launch([sys.executable], "/nonexistent", Orders(""))
    with pytest.raises(WorkersFailed, match=r"could not be started: .*nonexistent"):
        await Parent(launch, stage.sockets, 0.1, stage._on_live)._run()


# -- where workers are started


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", None), ("150000 100000", 2), ("10000 100000", 1), ("100 x", None), ("", None)],
)
def test_the_quota_of_a_container_counts(tmp_path: Path, quota: str, cores: int | None) -> None:
    available = len(os.sched_getaffinity(0))
    group = tmp_path / "cgroup"
    group.write_text("0::/system.slice/hub.service\n")
    folder = tmp_path / "system.slice" / "hub.service"
    folder.mkdir(parents=True)
    if quota:
        (folder / "cpu.max").write_text(quota + "\n")
    assert usable_cores(group, tmp_path) == min(cores or available, available)


def test_a_release_behind_a_symbolic_link_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, current = tmp_path / "release-1", tmp_path / "current"
    release.mkdir()
    current.symlink_to(release)
    monkeypatch.chdir(current)
    monkeypatch.setenv("PWD", str(current))
    assert start_directory() == str(current)
    monkeypatch.setenv("PWD", "/")
    assert start_directory() == str(release)
    monkeypatch.delenv("PWD")
    assert start_directory() == str(release)


# -- the listening sockets


def test_the_kernel_spreads_connections_over_the_sockets() -> None:
    sockets = listen("127.0.0.1", 0, 4)
    address = sockets[0].getsockname()
    assert {each.getsockname() for each in sockets} == {address}
    clients = [socket.create_connection(address) for _ in range(400)]
    counts = [0] * 4
    for number, each in enumerate(sockets):
        with suppress(BlockingIOError):
            while True:
                each.accept()[0].close()
                counts[number] += 1
        each.close()
    for client in clients:
        client.close()
    assert sum(counts) == 400
    assert min(counts) > 50


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_that_another_parent_has_is_refused(host: str) -> None:
    sockets = listen(host, 0, 2)
    port = sockets[0].getsockname()[1]
    with pytest.raises(OSError, match="in use"):
        listen(host, port, 2)
    for each in sockets:
        each.close()
    for each in listen(host, port, 2):
        each.close()


# -- the service manager


def test_a_service_manager_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "3000000")
        told = ServiceManager()
        assert told.watchdog_seconds == 3.0
        assert "NOTIFY_SOCKET" not in os.environ  # no worker speaks in its name
        for tell in (told.ready, told.alive, told.reloading, told.stopping):
            tell()
        said = [manager.recv(100).decode() for _ in range(4)]
    assert said[:2] == ["READY=1", "WATCHDOG=1"]
    assert said[2].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert said[3] == "STOPPING=1"
    told.ready()  # it has gone


def test_without_a_service_manager_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    told = ServiceManager()
    assert told.watchdog_seconds is None
    told.ready()
