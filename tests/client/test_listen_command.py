"""`relay listen` and `python -m relay.client`: what they print, and how they end."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.support.command import relay_command
from tests.support.servers import ROOT, HubProcess, RedisServer, StartHub, free_port
from tests.support.tokens import TOKEN_KEY, bearer


@pytest.fixture
def hub(start_hub: StartHub) -> HubProcess:
    settings = {"DJANGO_SETTINGS_MODULE": "tests.support.client_settings"}
    return start_hub(**settings, RELAY_TOKEN_KEY=TOKEN_KEY)


@contextmanager
def running(*words: str, **env: str) -> "Iterator[subprocess.Popen[str]]":
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, "SECRET_KEY": "x", **env},
        stdout=pipe,
        stderr=pipe,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def own_command(hub: HubProcess, redis_server: RedisServer) -> dict[str, str]:
    """The environment of a command beside the hub."""
    return {
        "REDIS_URL": redis_server.url,
        "PORT": str(hub.port),
        "DJANGO_SETTINGS_MODULE": "tests.support.client_settings",
        "RELAY_TOKEN_KEY": TOKEN_KEY,
    }


def have_channel(hub: HubProcess, channel: str) -> None:
    """Has the hub listen to a channel, so that a stream of it begins when it is opened."""
    url = f"{hub.url}/stream/?channel={channel}"
    with httpx.stream("GET", url, headers=bearer()) as response:
        next(piece for piece in response.iter_bytes() if b"id: " in piece)


def test_it_prints_each_message_at_once(hub: HubProcess, redis_server: RedisServer) -> None:
    with running("-m", "relay.client", f"{hub.url}/stream/") as process:
        assert process.stdout is not None
        hub.wait_for_streams(1)
        redis_server.publish("one")
        assert process.stdout.readline() == "one\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert process.communicate() == ("", "")


def test_manage_listens_to_its_own_hub_with_a_token_of_its_own(
    hub: HubProcess, redis_server: RedisServer
) -> None:
    have_channel(hub, "private.1")
    words = ["manage.py", "relay", "listen", "private.1", "news", "--json"]
    with running(*words, **own_command(hub, redis_server)) as process:
        assert process.stdout is not None
        hub.wait_for_streams(1)
        redis_server.publish("hidden", "private.1")
        found = json.loads(process.stdout.readline())
        assert found.pop("id").startswith("@=private.1&")
        assert found == {"event": "message", "channel": "private.1", "data": "hidden"}


def test_the_past_and_a_gap(hub: HubProcess, redis_server: RedisServer) -> None:
    url = f"{hub.url}/stream/?channel=small"
    with running("-m", "relay.client", url, "--from", "5-5") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline() == (
            "small: an unknown number of messages are missing (unheard).\n"
        )
        redis_server.publish("kept", "small")
        redis_server.publish("x" * 999, "small")
        assert process.stdout.readline() == "kept\n"
        assert process.stderr.readline().startswith("small: a message of 1,0")
    for start, event in (("all", "message"), ("1", "hub.oversize"), ("1h", "hub.gap")):
        with running("-m", "relay.client", url, "--from", start, "--json") as process:
            assert process.stdout is not None
            first = json.loads(process.stdout.readline())
            assert (first["event"], first["channel"]) == (event, "small"), start


@pytest.mark.parametrize("texts", [["one"], ["one", "two", "three"]], ids=len)
def test_it_ends_with_the_reader_of_its_pipe(
    hub: HubProcess, redis_server: RedisServer, texts: list[str]
) -> None:
    """Also when nothing more is published that could not be written."""
    command = f"{sys.executable} -m relay.client {hub.url}/stream/ | head -n 1"
    with subprocess.Popen(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        hub.wait_for_streams(1)
        for text in texts:
            redis_server.publish(text)
        try:
            out, err = process.communicate(timeout=10)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, "one\n", "")


def test_a_refusal_is_one_line(hub: HubProcess, redis_server: RedisServer) -> None:
    done = relay_command("listen", "nowhere", **own_command(hub, redis_server))
    url = f"{hub.url}/stream/"
    assert done.stderr == f"CommandError: {url}: 404: There is no such channel.\n"
    assert done.returncode == 1
    with running("-m", "relay.client", f"{url}?channel=nowhere") as process:
        out, err = process.communicate(timeout=10)
        assert (process.returncode, out) == (1, "")
        assert err == f"error: {url}?channel=nowhere: 404: There is no such channel.\n"


@pytest.mark.parametrize(
    "words", [["-m", "relay.client"], ["manage.py", "relay", "listen", "--url"]], ids=" ".join
)
def test_a_hub_that_is_away_is_waited_for_and_that_is_said(words: list[str]) -> None:
    with running(*words, f"http://127.0.0.1:{free_port()}/stream/") as process:
        assert process.stderr is not None
        assert re.search(r"ConnectError: .* Asking again in 2\.0 s\.$", process.stderr.readline())
        process.send_signal(signal.SIGINT)
        assert (process.communicate(timeout=10)[0], process.returncode) == ("", 0)


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1/", "http://[::"])
def test_an_address_that_is_none_is_one_line(url: str) -> None:
    with running("-m", "relay.client", url) as process:
        _, err = process.communicate(timeout=10)
        assert process.returncode == 1
        assert err.startswith(f"error: {url}: ")
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("program", "prefix"),
    [
        ("run_module('relay.client', run_name='__main__', alter_sys=True)", "error: "),
        ("run_path('manage.py', run_name='__main__')", "CommandError: "),
    ],
)
def test_without_httpx_they_say_in_one_line_what_to_do(program: str, prefix: str) -> None:
    code = f"import runpy, sys; sys.modules['httpx'] = None; runpy.{program}"
    words = ["relay", "listen"] if "manage.py" in program else ["http://127.0.0.1/"]
    with running("-c", code, *words) as process:
        out, err = process.communicate(timeout=20)
    said = "This needs httpx. Run: pip install 'relay-hub[client]'.\n"
    assert (process.returncode, out, err) == (1, "", prefix + said)


def test_the_client_needs_neither_django_nor_redis() -> None:
    blocked = "sys.modules.update(dict.fromkeys(['django', 'redis', 'hiredis', 'channels', 'jwt']))"
    code = f"import sys; {blocked}; from relay.client import listen; listen('http://127.0.0.1/')"
    env = {k: v for k, v in os.environ.items() if k not in {"SECRET_KEY", "DJANGO_SETTINGS_MODULE"}}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
