"""Real servers for the tests: a private redis-server and the hub itself, each a process of its own."""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import redis

from relay.broker.pool import NO_LIBRARY_NAME
from relay.server.embedded_redis import find_redis_server
from tests.support.fork_server import Forked, ForkServer
from tests.support.tls import Tls
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


_reserved: list[socket.socket] = []


def free_port() -> int:
    """A port of loopback that stays this process's until it ends, whatever else is started meanwhile.

    A socket is bound to it and never listens: the system gives the port to nobody who asks for any
    port, and a server of ours can bind beside it, because both allow the address to be reused.
    """
    return reserve(0)


def reserve(port: int) -> int:
    """Does what `free_port` does with one port. Raises OSError when it is taken."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        holder.bind(("127.0.0.1", port))
    except OSError:
        holder.close()
        raise
    _reserved.append(holder)
    return int(holder.getsockname()[1])


def release_ports() -> None:
    """Gives all ports back; called when a test run ends."""
    while _reserved:
        _reserved.pop().close()


@cache
def fork_server() -> ForkServer:
    """The one of this test process."""
    server = ForkServer()
    atexit.register(server.close)
    return server


Taken = Callable[[], list[tuple[str, bytes]]]
"""Says which messages were published, and on which channels (the fixture `taken`)."""


class RedisProcess:
    """A program of Redis on a port, with a folder of its own. It is not started yet.

    `prefix` comes before its command line. `known_port` is where hubs and other servers reach it: over
    TLS where `tls` is given. Tests talk to it on `port`, which is the same one without TLS.
    """

    def __init__(
        self,
        program: str,
        port: int,
        address: str = "127.0.0.1",
        prefix: Sequence[str] = (),
        tls: Tls | None = None,
    ) -> None:
        self.command = [*prefix, program or find_redis_server()]
        self.known_port = port
        self.port = free_port() if tls else port
        self.tls = tls
        self.address = address
        self.folder = tempfile.TemporaryDirectory(prefix="redis-", ignore_cleanup_errors=True)
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, *words: str) -> None:
        """Starts the program with these arguments."""
        self.process = subprocess.Popen(
            [*self.command, *words], stdout=subprocess.DEVNULL, cwd=self.folder.name
        )

    def server_words(self) -> list[str]:
        """The arguments of a redis-server that keeps nothing."""
        words = ["--port", str(self.port), "--bind", self.address]
        words += ["--save", "", "--appendonly", "no", "--loglevel", "warning"]
        # A machine that is busy with other things must not look like a subscriber that is too slow.
        words += ["--client-output-buffer-limit", "pubsub", "0", "0", "0"]
        return [*words, *self.tls_words()]

    def tls_words(self) -> list[str]:
        """The arguments for TLS, where it is used."""
        return self.tls.words(self.known_port) if self.tls else []

    def client(self, **options: Any) -> "redis.Redis":
        return redis.Redis(host=self.address, port=self.port, **NO_LIBRARY_NAME, **options)

    def publish(self, payload: str | bytes, channel: str = "demo_stream") -> int:
        with self.client() as client:
            return int(client.publish(channel, payload))

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self) -> None:
        """Kills it and removes its folder."""
        self.kill()
        self.folder.cleanup()


class RedisServer(RedisProcess):
    """A redis-server on a port of its own; `stop` and `start` again keep the port."""

    def __init__(self, *options: str, program: str = "", tls: Tls | None = None) -> None:
        super().__init__(program, free_port(), tls=tls)
        self.options = options
        self.url = f"redis://127.0.0.1:{self.known_port}/0"
        if tls:
            self.url = f"rediss://127.0.0.1:{self.known_port}/0?{tls.query}"
        self.start()

    def start(self, *options: str) -> None:
        self.run(*self.server_words(), *self.options, *options)
        wait_until(self._answers, "redis-server answers")

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                client.ping()
        except redis.exceptions.AuthenticationError:
            return True
        except redis.exceptions.ConnectionError:
            return False
        return True


class StartHub(Protocol):
    """The fixture `start_hub`: starts a hub, with settings as keywords, or `redis_url` and `command`."""

    def __call__(self, **settings: Any) -> "HubProcess": ...


def _children(pid: int) -> list[int]:
    """The children of a process, without a look at every process of the machine."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended
            found += map(int, thread.read_text().split())
    return found


COMMANDS = {
    "serve": ["manage.py", "relay", "serve"],
    "daphne": ["-m", "daphne", "-v", "0", "-p", "{port}", "hub.asgi:application"],
    "uvicorn": [
        *("-m", "uvicorn", "--port", "{port}", "--no-access-log"),
        *("--timeout-graceful-shutdown", "2", "hub.asgi:application"),
    ],
}
"""How a hub may be served. HUB_SERVER=daphne or uvicorn runs the tests of streams on another one."""


class HubProcess:
    """`manage.py relay serve` (or another command line) as a process; its output is in `log()`."""

    def __init__(self, redis_url: str, command: list[str] | None = None, **settings: Any) -> None:
        self.port = free_port()
        self.command = command or COMMANDS[os.environ.get("HUB_SERVER", "serve")]
        self.env = {
            **os.environ,
            "REDIS_URL": redis_url,
            "PYTHONUNBUFFERED": "1",
            **{name: str(value) for name, value in settings.items()},
        }
        self.output = tempfile.NamedTemporaryFile(prefix="hub-", suffix=".log")  # noqa: SIM115
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        words = [word.replace("{port}", str(self.port)) for word in self.command]
        if words == ["manage.py", "relay", "serve"]:
            words += ["--host", "127.0.0.1", "--port", str(self.port)]
        self.process = self._run(words)
        try:
            wait_until(self._ready, "the hub is up", 20.0)
        except AssertionError as error:
            self.close()
            raise AssertionError(f"{error}:\n{self.log()}") from None

    def _run(self, words: list[str]) -> "subprocess.Popen[bytes] | Forked":
        if words[0] in {"manage.py", "-m"} and "PYTHONPATH" not in self.env:
            return fork_server().start(words, self.env, self.output)
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=15)
        ended_by_it = "uvicorn" in self.command and code == -signal.SIGTERM  # as it does on purpose
        return 0 if ended_by_it else code

    def kill(self) -> None:
        """SIGKILL, for the workers of other servers too."""
        if self.process is not None and self.process.poll() is None:
            workers = _children(self.process.pid)
            self.process.kill()
            self.process.wait()
            for worker in workers:
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)

    def close(self) -> None:
        """Ends the process; its output can still be read, for the report of a failed test."""
        self.kill()
        self._last_log = self.log()
        self.output.close()

    def log(self) -> str:
        if self.output.closed:
            return self._last_log
        return Path(self.output.name).read_text(errors="replace")

    def health(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"{self.url}/health/", timeout=10) as response:
                return dict(json.load(response))
        except urllib.error.HTTPError as error:
            with error:
                return dict(json.load(error))

    def wait_for_streams(self, number: int, seconds: float = 10.0) -> None:
        def enough() -> bool:
            return bool(self.health()["streams_open"] == number)

        wait_until(enough, f"{number} streams are open", seconds)

    def wait_for_log(self, text: str) -> None:
        wait_until(lambda: text in self.log(), f"the hub has said {text!r}")

    def wait_for_redis(self, state: str, seconds: float = 5.0) -> None:
        wait_until(lambda: self.health()["redis"] == state, f"Redis is {state}", seconds)

    def _ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the hub ended at once:\n{self.log()}")
        try:
            return bool(self.health()["redis"] == "live")
        except OSError:
            return False
