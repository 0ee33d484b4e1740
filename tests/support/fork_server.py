"""Starts `manage.py` of the hub, or a server's module, without importing Django and Twisted each time.

A process that has imported the libraries, and nothing that depends on settings, forks for each hub. The
fork runs it like a new interpreter: with its own environment, settings and event loop.
"""

import contextlib
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]

LIBRARIES = (
    "asyncio",
    "autobahn.twisted.websocket",
    "channels.generic.http",
    "channels_redis.core",
    "cryptography.fernet",
    "cryptography.x509",
    "csp.apps",
    "csp.constants",
    "csp.middleware",
    "csp.templatetags.csp",
    "daphne.http_protocol",
    "daphne.ws_protocol",
    "django.conf.urls",
    "django.contrib.auth.apps",
    "django.contrib.auth.decorators",
    "django.contrib.auth.hashers",
    "django.contrib.auth.password_validation",
    "django.contrib.auth.tokens",
    "django.contrib.sessions.backends.db",
    "django.contrib.sessions.middleware",
    "django.contrib.sites.shortcuts",
    "django.contrib.staticfiles.apps",
    "django.contrib.staticfiles.finders",
    "django.contrib.staticfiles.handlers",
    "django.contrib.staticfiles.storage",
    "django.core.asgi",
    "django.core.cache.backends.locmem",
    "django.core.management",
    "django.core.management.commands.makemigrations",
    "django.core.management.commands.migrate",
    "django.db.backends.sqlite3.base",
    "django.db.models",
    "django.middleware.cache",
    "django.middleware.clickjacking",
    "django.middleware.common",
    "django.middleware.csrf",
    "django.middleware.security",
    "django.template.backends.django",
    "django.templatetags.cache",
    "django.templatetags.l10n",
    "django.templatetags.tz",
    "django.utils.translation.reloader",
    "django.views.debug",
    "encodings.idna",
    "environ",
    "hiredis",
    "jwt",
    "OpenSSL.SSL",
    "redis.asyncio",
    "twisted.application.service",
    "twisted.internet._posixstdio",
    "twisted.internet.endpoints",
    "twisted.internet.posixbase",
    "twisted.internet.ssl",
    "twisted.protocols.tls",
    "twisted.web.http",
    "whitenoise.middleware",
)
SETTLED = (
    "hub.logs",
    "hub.static_files",
    "relay.access.bearer",
    "relay.access.grant",
    "relay.asgi",
    "relay.checks",
    "relay.client.printing",
    "relay.conf",
    "relay.control.kick_receiver",
    "relay.control.open_channels",
    "relay.control.operator_links",
    "relay.control.seats",
    "relay.control.signals",
    "relay.engine.channels",
    "relay.engine.garbage",
    "relay.engine.last_hour",
    "relay.engine.reporter",
    "relay.http.asgi_writer",
    "relay.http.cors",
    "relay.http.early_refusal",
    "relay.http.large_answers",
    "relay.http.own_page",
    "relay.http.pages",
    "relay.http.query",
    "relay.http.sign_in",
    "relay.http.stream_head",
    "relay.management.check",
    "relay.management.kick",
    "relay.management.listen",
    "relay.management.operator_link",
    "relay.management.publish",
    "relay.management.status",
    "relay.management.token",
    "relay.metrics.admin",
    "relay.metrics.process",
    "relay.operator.channels",
    "relay.operator.records",
    "relay.operator.report",
    "relay.operator.samples",
    "relay.operator.streams",
    "relay.replay.past_page",
    "relay.replay.stored_page",
    "relay.server.bounds",
    "relay.server.drain",
    "relay.server.embedded_redis",
    "relay.sockets.poller",
    "relay.sockets.writer",
    "relay.workers.cores",
    "relay.workers.listening",
    "relay.workers.parent",
)
"""Modules of the hub that need no settings, with all that they import."""

MAX_BYTES = 1 << 20


class Forked:
    """As much of subprocess.Popen as the tests need."""

    def __init__(self, server: "ForkServer", pid: int) -> None:
        self._server = server
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._server.code_of(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = time.monotonic() + (60.0 if timeout is None else timeout)
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("manage.py", timeout or 60.0)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """The process that forks, at the other end of a Unix socket. It ends with this one."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])
        self._lock = threading.Lock()
        self._codes: dict[int, int] = {}

    def start(
        self,
        words: Sequence[str],
        env: dict[str, str],
        output: IO[bytes],
        errors: IO[bytes] | None = None,
        entered: IO[bytes] | None = None,
    ) -> Forked:
        """Runs Python with these words, which begin with `manage.py` or with `-m` and a module.

        `output` is its standard output, and its standard error without `errors`. `entered` is its
        standard input.
        """
        request = json.dumps({"words": words, "env": env}).encode()
        with open(os.devnull, "rb") as nothing, self._lock:
            files = [entered or nothing, output, errors or output]
            socket.send_fds(self._socket, [request], [each.fileno() for each in files])
            while True:
                message = self._read()
                if "code" not in message:
                    self._codes.pop(message["pid"], None)  # of an earlier one with this number
                    return Forked(self, message["pid"])

    def code_of(self, pid: int) -> int | None:
        """Returns the exit code of a fork, negative for a signal; None while it runs."""
        with self._lock:
            self._socket.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    self._read()
            self._socket.setblocking(True)
            return self._codes.get(pid)

    def close(self) -> None:
        self._socket.close()
        self._process.wait(10)

    def _read(self) -> dict[str, int]:
        data = self._socket.recv(MAX_BYTES)
        if not data:
            raise AssertionError("the fork server has ended")
        message: dict[str, int] = json.loads(data)
        if "code" in message:
            self._codes[message["pid"]] = message["code"]
        return message


def serve(connection: socket.socket) -> list[str] | None:
    """Forks for each request. Returns None at the end, and in each fork the words of its command."""
    wakes, wake = socket.socketpair()
    wakes.setblocking(False)
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.set_wakeup_fd(wake.fileno())
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        selector.register(wakes, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is wakes:
                    with contextlib.suppress(BlockingIOError):
                        wakes.recv(4096)
                    _reap(connection)
                    continue
                data, descriptors, _, _ = socket.recv_fds(connection, MAX_BYTES, 3)
                if not data:
                    return None
                pid = os.fork()
                if not pid:
                    signal.set_wakeup_fd(-1)
                    for each in (connection, wakes, wake):
                        each.close()
                    return _become(json.loads(data), descriptors)
                for descriptor in descriptors:
                    os.close(descriptor)
                connection.send(json.dumps({"pid": pid}).encode())


def _reap(connection: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        code = os.waitstatus_to_exitcode(status)
        with contextlib.suppress(OSError):
            connection.send(json.dumps({"pid": pid, "code": code}).encode())


def _become(request: dict[str, object], descriptors: Sequence[int]) -> list[str]:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["env"])  # type: ignore[call-overload]
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
    words: list[str] = request["words"]  # type: ignore[assignment]
    return words


def main() -> None:
    for name in (*LIBRARIES, *SETTLED):
        import_module(name)
    assert "twisted.internet.reactor" not in sys.modules, "it has an event loop of its own"
    gc.freeze()  # a fork leaves it shared
    words = serve(socket.socket(fileno=int(sys.argv[1])))
    if words is not None:
        sys.orig_argv = [sys.executable, *words]
        _run(words)


def _run(words: list[str]) -> None:
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    main()
