"""`manage.py relay status`: every hub process on this Redis, with its true numbers."""

import json
import re
import signal
from collections.abc import Iterator
from io import StringIO
from typing import Any

import psutil
import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from relay.broker.keys import HubKeys
from relay.control.processes import EXPIRY_SECONDS
from relay.control.report import Report, State
from relay.version import __version__
from tests.server.test_relay_check import user_of_the_documentation
from tests.support.client import Stream
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.site import run_manage
from tests.support.waiting import wait_until

KEYS = HubKeys("relay")
LIVE = Report("web-1", 7, "0.2.0", State.LIVE, 1_790_000_000_000, 2, 1, 10, 0.5, 0)


@pytest.fixture
def ours(settings: Settings, redis_server: RedisServer) -> None:
    """The command runs in this process."""
    settings.REDIS_URL = redis_server.url


def run(*words: str) -> tuple[str, str]:
    """The output, and the error with which the command ends."""
    out = StringIO()
    try:
        call_command("relay", "status", *words, stdout=out)
    except CommandError as error:
        return out.getvalue(), str(error)
    return out.getvalue(), ""


def status() -> Any:
    return json.loads(run("--json")[0])


def list_process(redis_server: RedisServer, name: bytes, entry: bytes | str) -> None:
    """As a process with this report does that signs now."""
    with redis_server.client() as client:
        seconds, microseconds = client.time()
        now = seconds * 1000 + microseconds // 1000
        client.zadd(KEYS.processes, {name: now + 30_000})
        report = KEYS.reports.encode() + name
        client.set(report, f"{now} {entry}" if isinstance(entry, str) else entry)


def becomes(part: str, **values: Any) -> Any:
    """Waits until the one object of a part, or the total, has these values; returns all of it."""

    def found() -> Any:
        answer = status()
        one = answer[part] if part == "total" else answer[part][0] if answer[part] else {}
        return answer if values.items() <= one.items() else None

    return wait_until(found, f"{part} has {values}", 20)


# -- real hubs


def test_two_hubs_with_streams_are_shown_with_their_true_numbers(
    ours: None, start_hub: StartHub, redis_server: RedisServer
) -> None:
    one, two = (start_hub(RELAY_CHANNELS="news orders.{id}") for _ in range(2))
    with Stream(one.url), Stream(one.url, path="/stream/?channel=news&channel=orders.7"):
        for number in range(4):
            redis_server.publish(f"{number}")
        wait_until(lambda: [h.health()["messages"] for h in (one, two)] == [4, 4], "all is heard")
        with Stream(two.url):
            becomes("total", streams=3, messages=8)
            done = run_manage("relay", "status", "--json", REDIS_URL=redis_server.url)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["prefix"] == "relay"
    sums = {"processes": 2, "live": 2, "streams": 3, "messages": 8, "gaps": 0}
    assert sums.items() <= found["total"].items()
    assert found["total"]["channels_with_streams"] == 3
    by_pid = {process["pid"]: process for process in found["processes"]}
    assert list(by_pid) == sorted(pid_of(hub) for hub in (one, two))
    for hub, streams, channels in ((one, 2, 3), (two, 1, 1)):
        process = by_pid[pid_of(hub)]
        assert (process["version"], process["state"]) == (__version__, "live")
        assert (process["streams"], process["channels"]) == (streams, channels)
        assert (process["messages"], process["gaps"]) == (4, 0)
        assert process["started"].endswith("+00:00")
    [host] = found["hosts"]
    assert sums.items() <= host.items()
    assert host["host"] == found["processes"][0]["host"]
    assert found["redis"]["deployment"] == "server"
    [master] = found["redis"]["masters"]
    assert master["address"] == f"127.0.0.1:{redis_server.port}"
    assert (master["role"], master["mode"]) == ("master", "standalone")
    assert re.fullmatch(r"[\d.]+", master["version"])


def pid_of(hub: HubProcess) -> int:
    assert hub.process is not None
    return hub.process.pid


def test_a_killed_process_is_gone_when_its_time_is_over(
    ours: None, start_hub: StartHub, redis_server: RedisServer
) -> None:
    one, two = start_hub(), start_hub()
    becomes("total", live=2)
    two.kill()
    left = {process["pid"]: process for process in status()["processes"]}
    assert len(left) == 2, "nobody knows yet"
    dead = left[pid_of(two)]["id"]
    with redis_server.client() as client:
        assert client.pttl(KEYS.reports + dead) <= EXPIRY_SECONDS * 1000
        client.zincrby(KEYS.processes, -EXPIRY_SECONDS * 1000, dead)  # so much later
        becomes("total", processes=1)
        assert [process["pid"] for process in status()["processes"]] == [pid_of(one)]
    assert one.stop() == 0
    assert status()["processes"] == []
    with redis_server.client() as client:
        assert client.keys("relay:{control}:report:*") == [(KEYS.reports + dead).encode()]


def test_each_worker_is_a_process(
    ours: None, start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_WORKERS="2")
    hub.wait_for_log("2 workers")
    streams = [Stream(hub.url) for _ in range(6)]
    found = becomes("total", live=2, streams=6)
    workers = psutil.Process(pid_of(hub)).children()
    assert [p["pid"] for p in found["processes"]] == sorted(worker.pid for worker in workers)
    for stream in streams:
        stream.close()


def test_a_process_that_drains_says_so(
    ours: None, start_hub: StartHub, redis_server: RedisServer
) -> None:
    words = ["manage.py", "relay", "serve", "--port", "{port}", "--workers", "1"]
    hub = start_hub(command=words, RELAY_DRAIN_SECONDS="60")
    hub.wait_for_log("1 worker")
    with Stream(hub.url), Stream(hub.url):
        becomes("total", streams=2)
        assert hub.process is not None
        hub.process.send_signal(signal.SIGTERM)
        becomes("processes", state="draining", streams=1)
        _, error = run()
        assert error.startswith("No hub process is live on Redis ")
        hub.kill()


def test_a_process_without_a_subscription_says_so(
    ours: None, start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub()
    becomes("total", live=1)
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-subscribe", "-psubscribe")
        client.client_kill_filter(_type="pubsub")
    hub.wait_for_redis("lost")
    with Stream(hub.url):  # a stream that opens is written with a report
        becomes("processes", state="lost", streams=1)


# -- what Redis holds


def test_a_table_for_people(ours: None, redis_server: RedisServer) -> None:
    other = Report("web-2", 8, "0.3.0", State.DRAINING, None, 12_000, 1, 1_000_000, 1234.5, 3)
    list_process(redis_server, b"b", other.encode())
    list_process(redis_server, b"a", LIVE.encode())
    with redis_server.client() as client:
        client.hset(KEYS.presence + "a", mapping={"": "", "news": "2 []", "orders.7": "1 []"})
        client.hset(KEYS.presence + "b", mapping={"": "", "news": "9 []"})
    out, error = run()
    assert error == ""
    out = re.sub(r"version [\d.]+", "version N", re.sub(r"\d s ago", "N s ago", out))
    assert out.splitlines() == [
        "HOST   PID  VERSION  STATE     STARTED(UTC)         STREAMS  CHANNELS   MESSAGES"
        "  PER-SECOND  GAPS  REPORTED",
        "web-1    7  0.2.0    live      2026-09-21T14:13:20        2         1         10"
        "         0.5     0   N s ago",
        "web-2    8  0.3.0    draining  unknown               12,000         1  1,000,000"
        "     1,234.5     3   N s ago",
        "",
        "HOST   PROCESSES  LIVE  STREAMS   MESSAGES  PER-SECOND  GAPS",
        "web-1          1     1        2         10         0.5     0",
        "web-2          1     0   12,000  1,000,000     1,234.5     3",
        "total          2     1   12,002  1,000,010     1,235.0     3",
        "",
        "Channels with streams: 2",
        f"Redis 127.0.0.1:{redis_server.port}: version N, master, standalone",
    ]


def garbage() -> Iterator[bytes]:
    yield from (b"", b" ", b"x", b"17", b"17 ", b"17 {", b"17 null", b"17 [1]", b"\xff\x00 {}")
    yield b"-1 {}"
    yield "\u0661 {}".encode()
    yield b"9" * 500 + b" {}"
    yield b"17 " + b"[" * 4000
    yield b"17 " + b" " * 5000 + LIVE.encode().encode()  # too long


@pytest.mark.parametrize("entry", list(garbage()), ids=lambda entry: entry[:12])
def test_garbage_is_unknown(ours: None, redis_server: RedisServer, entry: bytes) -> None:
    list_process(redis_server, b"good", LIVE.encode())
    list_process(redis_server, b"bad", entry)
    good, bad = status()["processes"]
    assert (good["host"], good["state"]) == ("web-1", "live")
    assert bad.pop("id") == "bad"
    assert bad.pop("state") == "unknown"
    assert bad.pop("reported_seconds_ago") is None or entry.startswith(b"17")
    assert set(bad.values()) == {None}
    out, error = run()
    assert error == ""
    assert "\nunknown  unknown  unknown  unknown  unknown " in out


def test_keys_of_another_type_are_unknown(ours: None, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        list_process(redis_server, b"a", LIVE.encode())
        list_process(redis_server, b"b", "")
        client.delete(KEYS.reports + "b")
        client.lpush(KEYS.reports + "b", "1")
        assert [p["state"] for p in status()["processes"]] == ["live", "unknown"]
        client.set(KEYS.presence + "a", "1")
        assert status()["total"]["channels_with_streams"] is None
        assert "Channels with streams: unknown" in run()[0]
        client.delete(KEYS.processes)
        client.set(KEYS.processes, "1")
        out, error = run()
        assert out == ""
        assert "WRONGTYPE" in error


def test_no_control_character_reaches_the_terminal(ours: None, redis_server: RedisServer) -> None:
    evil = "\x1b]0;x\x07\r\n\x7f\x9b\u202e\ud800é"
    entry = json.dumps(json.loads(LIVE.encode()) | {"host": evil, "version": evil})
    list_process(redis_server, b"\x1b[2J\xff", entry)
    table, as_json = run()[0], run("--json")[0]
    for text in (table, as_json):
        assert {c for c in text if not " " <= c <= "~"} == {"\n"}
    assert r"\x1b]0;x\x07\r\n\x7f\x9b\u202e\ud800\xe9" in table
    [process] = json.loads(as_json)["processes"]
    assert (process["host"], process["version"]) == (evil, evil)
    assert process["id"] == "\x1b[2J\ufffd"


# -- what cannot work


def test_without_a_process_it_says_what_to_do(ours: None, redis_server: RedisServer) -> None:
    out, error = run("--json")
    assert json.loads(out)["processes"] == []
    assert error == (
        f"No hub process is live on Redis 127.0.0.1:{redis_server.port} with the prefix relay. Start"
        " one (manage.py relay serve), or check REDIS_URL and RELAY_PREFIX."
    )
    list_process(redis_server, b"a", b"from another version")
    assert "No hub process is live" in run()[1]


@pytest.mark.slow
def test_without_redis_it_exits_with_1() -> None:
    for words in ((), ("--json",)):
        found = run_manage(
            "relay", "status", *words, check=False, REDIS_URL="redis://:s3cret@127.0.0.1:1/0"
        )
        assert (found.returncode, found.stdout) == (1, "")
        [line] = found.stderr.splitlines()
        assert "Redis 127.0.0.1:1: " in line
        assert line.endswith("Start it, or check REDIS_URL.")


def test_a_user_with_the_documented_rights_is_enough(
    ours: None, redis_server: RedisServer, settings: Settings
) -> None:
    list_process(redis_server, b"a", LIVE.encode())
    settings.REDIS_URL = user_of_the_documentation(redis_server)
    assert status()["total"]["channels_with_streams"] == 0
    settings.REDIS_URL = user_of_the_documentation(redis_server, "-hkeys")
    found = status()
    assert found["total"]["live"] == 1
    assert found["total"]["channels_with_streams"] is None
    settings.REDIS_URL = user_of_the_documentation(redis_server, "-evalsha", "-eval")
    assert "Give the user of REDIS_URL the rights in docs/operations.md." in run()[1]
    settings.REDIS_URL = redis_server.url.replace("//", "//hub:wrong@")
    out, error = run()
    assert out == ""
    assert error.endswith("Check REDIS_URL.") or error.endswith("check REDIS_URL.")
    assert "wrong@" not in error
