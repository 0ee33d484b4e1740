"""`relay serve --workers`: real hubs on one port that die, hang, and are replaced under load."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from relay.server.embedded_redis import accepts_connections
from tests.support.client import Stream
from tests.support.follower import Follower, Publisher, finish
from tests.support.servers import ROOT, HubProcess, RedisServer, StartHub, free_port
from tests.support.waiting import wait_until, within

pytestmark = pytest.mark.slow


def workers_of(hub: HubProcess) -> list[psutil.Process]:
    assert hub.process is not None
    return psutil.Process(hub.process.pid).children()


def streams_of(worker: psutil.Process, port: int) -> int:
    return sum(
        each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port
        for each in worker.net_connections("tcp")
    )


def follow(hub: HubProcess, number: int) -> list[Follower]:
    """Clients of this hub, of whom each worker has at least one."""
    followers = [Follower([hub.url]) for _ in range(number)]
    for follower in followers:
        follower.start()
    wait_until(
        lambda: sum(streams_of(worker, hub.port) for worker in workers_of(hub)) >= number,
        "all have a stream",
    )
    return followers


def replaced(hub: HubProcess, before: set[int]) -> bool:
    return not before & {worker.pid for worker in workers_of(hub)}


def say(hub: HubProcess, redis: str) -> bool:
    """Whether all workers say this of Redis. Each of 20 questions goes to any of them."""
    try:
        return all(hub.health()["redis"] == redis for _ in range(20))
    except OSError:  # one of them does not serve yet
        return False


TWO = {"RELAY_WORKERS": "2", "RELAY_RETRY_MS": "200", "RELAY_DRAIN_SECONDS": "1"}


@pytest.fixture(scope="module")
def served(redis_of_module: RedisServer) -> Iterator[HubProcess]:
    hub = HubProcess(redis_of_module.url, None, **TWO)
    hub.wait_for_log("2 workers")  # all of them are live
    yield hub
    hub.close()


@pytest.fixture
def two(served: HubProcess) -> HubProcess:
    """Shared by the tests after which two workers are live again."""
    wait_until(lambda: len(workers_of(served)) == 2 and say(served, "live"), "both live", 30)
    return served


@pytest.fixture
def own_two(start_hub: StartHub) -> HubProcess:
    """For a test that ends the parent."""
    hub = start_hub(**TWO)
    hub.wait_for_log("2 workers")
    return hub


def test_two_workers_share_the_streams_of_one_port(two: HubProcess) -> None:
    streams = [Stream(two.url) for _ in range(100)]
    counts = [streams_of(worker, two.port) for worker in workers_of(two)]
    assert sum(counts) == 100
    assert min(counts) > 20
    for stream in streams:
        stream.close()


def test_kill_9_of_a_worker_costs_its_clients_a_reconnection(
    two: HubProcess, redis_of_module: RedisServer
) -> None:
    followers = follow(two, 12)
    with Publisher(redis_of_module, rate=1000) as publisher:
        publisher.wait_for_more(500)
        victim = workers_of(two)[0]
        cut = streams_of(victim, two.port)
        victim.kill()
        two.wait_for_log(f"(process {victim.pid}) ended with code -9. Starting another.")
        wait_until(lambda: len(workers_of(two)) == 2, "there are two again")
        publisher.wait_for_more(1500)
        assert finish(publisher, followers) == [0] * 12
    assert sum(follower.connects > 1 for follower in followers) == cut


def test_a_connection_that_waits_for_a_dead_worker_is_served_by_the_next(
    two: HubProcess, redis_of_module: RedisServer
) -> None:
    victims = workers_of(two)
    for worker in victims:
        worker.suspend()
    waiting = [socket.create_connection(("127.0.0.1", two.port)) for _ in range(20)]
    for each in waiting:
        each.sendall(b"GET /stream/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for worker in victims:
        worker.kill()
    for each in waiting:
        with each:
            each.settimeout(30)
            assert each.recv(100).startswith(b"HTTP/1.1 200")


def test_a_rolling_restart_loses_and_doubles_nothing(
    two: HubProcess, redis_of_module: RedisServer
) -> None:
    followers = follow(two, 12)
    with Publisher(redis_of_module, rate=1000) as publisher:
        for _ in range(2):
            before = {worker.pid for worker in workers_of(two)}
            publisher.wait_for_more(500)
            assert two.process is not None
            two.process.send_signal(signal.SIGHUP)
            wait_until(partial(replaced, two, before), "the old workers have ended", 20)
        assert finish(publisher, followers) == [0] * 12
    assert all(follower.connects >= 3 for follower in followers)
    assert "Traceback" not in two.log()


def test_a_channel_that_only_an_old_worker_has_is_heard_until_its_clients_are_back(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_WORKERS="2", RELAY_CHANNELS="news", RELAY_DRAIN_SECONDS="0.5")
    follower = Follower([hub.url], path="/stream/?channel=news")
    follower.start()
    wait_until(lambda: follower.connects, "it is there")
    with Publisher(redis_server, rate=200, channel="news") as publisher:
        wait_until(lambda: follower.events, "the first event")
        before = {worker.pid for worker in workers_of(hub)}
        assert hub.process is not None
        hub.process.send_signal(signal.SIGHUP)
        wait_until(partial(replaced, hub, before), "the old workers have ended", 20)
        assert finish(publisher, [follower]) == [0]
    assert follower.connects == 2


def test_new_workers_run_the_code_and_settings_that_are_there_now(
    start_hub: StartHub, redis_server: RedisServer, tmp_path: Path
) -> None:
    settings = tmp_path / "late_settings.py"
    settings.write_text("from hub.settings import *\nRELAY_RETRY_MS = 60_000\n")
    hub = start_hub(
        RELAY_DRAIN_SECONDS="0",
        DJANGO_SETTINGS_MODULE="late_settings",
        PYTHONPATH=str(tmp_path),
        command=["manage.py", "relay", "serve", "--port", "{port}", "--workers", "1"],
    )
    [before] = workers_of(hub)
    with Stream(hub.url) as stream:
        assert retry_of(stream) >= 30_000
    settings.write_text("from hub.settings import *\nRELAY_RETRY_MS = 100\n# of another size\n")
    assert hub.process is not None
    hub.process.send_signal(signal.SIGHUP)
    wait_until(lambda: before.pid not in {w.pid for w in workers_of(hub)}, "the old one has ended")
    with Stream(hub.url) as stream:
        assert retry_of(stream) <= 150
    settings.write_text("from hub.settings import *\nRELAY_RETRY_MS = 'never'\n")
    hub.process.send_signal(signal.SIGHUP)
    hub.wait_for_log("The old ones go on.")
    assert "RELAY_RETRY_MS" in hub.log()
    with Stream(hub.url) as stream:
        assert retry_of(stream) <= 150


def retry_of(stream: Stream) -> int:
    return int(stream.line().removeprefix(b"retry: "))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_its_workers_and_their_streams(own_two: HubProcess, number: int) -> None:
    workers = workers_of(own_two)
    with Stream(own_two.url) as stream, within(8):
        assert own_two.process is not None
        own_two.process.send_signal(number)
        assert list(stream.events()) == []  # ended properly
        assert b":draining\n" in stream.lines
        assert own_two.process.wait(10) == 0
    assert not any(worker.is_running() for worker in workers)
    assert "Traceback" not in own_two.log()


def test_a_new_worker_waits_for_redis(two: HubProcess, redis_of_module: RedisServer) -> None:
    redis_of_module.kill()
    victim = workers_of(two)[0]
    victim.kill()
    two.wait_for_log(f"(process {victim.pid}) ended")
    wait_until(lambda: len(workers_of(two)) == 2, "there are two again")
    new = {worker.pid for worker in workers_of(two)}
    wait_until(lambda: say(two, "lost"), "the new one serves too", 30)
    redis_of_module.start()
    wait_until(lambda: say(two, "live"), "both are live", 30)
    assert {worker.pid for worker in workers_of(two)} == new


def test_nobody_waits_for_a_parent_that_ends(start_hub: StartHub) -> None:
    hub = start_hub(RELAY_WORKERS="2", RELAY_DRAIN_SECONDS="4")
    hub.wait_for_log("2 workers")
    streams = [Stream(hub.url) for _ in range(8)]
    assert hub.process is not None
    hub.process.send_signal(signal.SIGTERM)

    def refused() -> bool:
        with socket.socket() as late:
            return late.connect_ex(("127.0.0.1", hub.port)) != 0

    wait_until(refused, "connections are refused", 3)
    assert hub.process.poll() is None
    for stream in streams:
        assert list(stream.events()) == []
        stream.close()
    assert hub.process.wait(20) == 0


def test_workers_whose_parent_is_killed_end_their_streams_and_themselves(
    own_two: HubProcess,
) -> None:
    workers = workers_of(own_two)
    with Stream(own_two.url) as stream:
        assert own_two.process is not None
        own_two.process.kill()
        own_two.process.wait()
        assert list(stream.events()) == []
    wait_until(lambda: not any(worker.is_running() for worker in workers), "they have ended")
    own_two.start()  # the port is free
    with within(5):
        assert own_two.stop() == 0


def test_a_service_manager_is_told_what_happens(
    start_hub: StartHub, redis_server: RedisServer, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        hub = start_hub(
            RELAY_WORKERS="2",
            RELAY_DRAIN_SECONDS="0",
            NOTIFY_SOCKET=str(tmp_path / "notify"),
            WATCHDOG_USEC="200000",
        )

        def next_word() -> str:
            while (word := manager.recv(100).decode().split("\n")[0]) == "WATCHDOG=1":
                words.append(word)
            return word

        words: list[str] = []
        assert next_word() == "READY=1"
        assert hub.process is not None
        hub.process.send_signal(signal.SIGHUP)
        assert next_word() == "RELOADING=1"
        assert next_word() == "READY=1"
        assert hub.stop() == 0
        assert next_word() == "STOPPING=1"
        assert words


@pytest.mark.parametrize("workers", ["0", "-1", "many", "257"])
def test_a_wrong_number_of_workers_is_named(redis_server: RedisServer, workers: str) -> None:
    command = [sys.executable, "manage.py", "relay", "serve", "--workers", workers]
    env = {**os.environ, "REDIS_URL": redis_server.url, "PORT": str(free_port())}
    found = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=30)
    assert found.returncode == 1
    assert "--workers is not valid" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_taken_port_is_one_clear_line(redis_of_module: RedisServer, two: HubProcess) -> None:
    command = [sys.executable, "manage.py", "relay", "serve", "--workers", "2"]
    env = {**os.environ, "REDIS_URL": redis_of_module.url, "PORT": str(two.port)}
    found = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=30)
    assert found.returncode == 1
    [line] = found.stderr.splitlines()
    assert f"cannot listen on 127.0.0.1:{two.port}" in line
    assert len(workers_of(two)) == 2


def test_the_embedded_redis_is_the_parents(tmp_path: Path) -> None:
    if accepts_connections(6379):  # another program of this machine has the port
        return
    env = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    env |= {"PORT": str(free_port()), "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3"}
    command = [sys.executable, "manage.py", "relay", "serve", "--workers", "2"]
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as parent:
        assert parent.stdout is not None
        assert b"embedded" in parent.stdout.readline()
        url = f"http://127.0.0.1:{env['PORT']}"
        with Stream(url) as stream:
            redis_cli = ["redis-cli", "-p", "6379", "publish", "demo_stream", "from outside"]
            subprocess.run(redis_cli, check=True, capture_output=True)
            assert next(e for e in stream.events() if e.data).data == "from outside"
        parent.terminate()
        assert parent.wait(15) == 0
    wait_until(lambda: not accepts_connections(6379), "the embedded Redis has ended", 5)
