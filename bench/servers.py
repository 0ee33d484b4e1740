"""The servers that are compared, and how each is started, read and published to."""

import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench import interrupt
from bench.errors import BenchError, Missing
from bench.process import Child, free_port
from bench.publisher import Dialect, HttpPost, RedisPublish
from relay.server.embedded_redis import find_redis_server

CHANNEL = "demo_stream"
MAX_STREAMS = 20_000
HEALTHY_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a measurement: one core for the server, one for the client and Redis."""

    server_core: int
    client_core: int
    redis_port: int
    redis_pid: int


@dataclass(frozen=True, slots=True)
class Running:
    """A server that listens."""

    child: Child
    address: tuple[str, int]
    path: str
    dialect: Dialect
    own_path: str = ""
    """The path of a stream with a channel of its own, `{}` for the channel's number."""


class Server(ABC):
    """`name` is its name on the command line, `title` its name in the tables.

    The limits keep a slow server, or one that loses messages, from making a run endless. Phases with
    more streams are left out, and at most `max_messages` are published at once.
    """

    max_streams = MAX_STREAMS
    max_messages = 1_000_000
    resumes = False
    """Whether a client may come back with its last event id."""
    keeps = False
    """Whether it may also come back to a process that was started since."""
    install = ""

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.title = title

    def installed(self) -> bool:
        return True

    def require(self) -> None:
        """Raises Missing, with a way to install it, if it is not installed."""
        if not self.installed():
            raise Missing(f"{self.title} is not installed: {self.install}")

    @abstractmethod
    def version(self) -> str:
        """Returns the measured programs and their versions, for the report."""

    def without_history(self) -> "Server":
        """Returns the same server without a history, on a channel of its own. Raises Missing."""
        raise Missing("it has no history to turn off")

    @abstractmethod
    def start(self, place: Place) -> AbstractContextManager[Running]:
        """Returns a context manager, within which the server listens."""


class Hub(Server):
    """This project. `settings` are environment variables, so that a variant is just another entry."""

    resumes = True
    keeps = True

    def __init__(
        self,
        name: str,
        title: str,
        settings: Mapping[str, str] | None = None,
        channel: str = CHANNEL,
    ) -> None:
        super().__init__(name, title)
        self._settings = dict(settings or {})
        self._channel = channel

    def without_history(self) -> "Hub":
        settings = {"RELAY_HISTORY_SIZE": "0", "RELAY_PREFIX": "relay-history-off"}
        return Hub(
            f"{self.name}-history-off",
            f"{self.title}, history off",
            self._settings | settings,
            f"{self._channel}_history_off",
        )

    def version(self) -> str:
        return f"daphne {version('daphne')}, channels {version('channels')}"

    @contextmanager
    def start(self, place: Place) -> Iterator[Running]:
        port = free_port()
        env = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
        env |= {
            "SECRET_KEY": "only-for-the-benchmark" * 3,
            "REDIS_URL": f"redis://127.0.0.1:{place.redis_port}/0",
            "RELAY_MAX_STREAMS": str(MAX_STREAMS),
            "RELAY_CHANNEL": self._channel,
            "RELAY_CHANNELS": f"{self._channel}.*",
            **self._settings,
        }
        with Child(self.title, self._command(port), place.server_core, env) as child:
            child.wait_for_port(port)
            _wait_until_healthy(child, port)
            dialect = RedisPublish(place.redis_port, self._channel)
            own_path = f"/stream/?channel={self._channel}.{{}}"
            yield Running(child, ("127.0.0.1", port), "/stream/", dialect, own_path)

    def _command(self, port: int) -> list[str]:
        serve = [sys.executable, "manage.py", "relay", "serve", "--host", "127.0.0.1"]
        return [*serve, "--port", str(port)]


class HubUnderDaphne(Hub):
    """This project under Daphne's own command, whose queue of connections has 50 places."""

    resumes = False

    def without_history(self) -> "Hub":
        raise Missing("its history is the same")

    def _command(self, port: int) -> list[str]:
        daphne = [sys.executable, "-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(port)]
        return [*daphne, "hub.asgi:application"]


class Floor(Server):
    """The least that any Python server must do (bench/floor.py)."""

    def version(self) -> str:
        return f"Python {sys.version.split()[0]}"

    @contextmanager
    def start(self, place: Place) -> Iterator[Running]:
        port = free_port()
        command = [sys.executable, "-m", "bench.floor", str(port), str(place.redis_port), CHANNEL]
        with Child(self.title, command, place.server_core) as child:
            child.wait_for_port(port)
            dialect = RedisPublish(place.redis_port, CHANNEL)
            yield Running(child, ("127.0.0.1", port), "/", dialect)


class Nchan(Server):
    """nginx with nchan: one worker, messages kept in memory, published by HTTP.

    nchan numbers the messages of one second with a signed 16-bit integer. If more are published in
    one, it logs "Missed message for eventsource subscriber". So it gets fewer.
    """

    max_messages = 30_000
    resumes = True
    install = "apt install nginx libnginx-mod-nchan"

    def installed(self) -> bool:
        return bool(_nginx() and _nchan_module())

    def version(self) -> str:
        nginx = re.search(r"nginx/(\S+)", _nginx_build())
        package = _debian_version("libnginx-mod-nchan")
        return f"nginx {nginx[1] if nginx else '?'}, libnginx-mod-nchan {package}"

    @contextmanager
    def start(self, place: Place) -> Iterator[Running]:
        port = free_port()
        with tempfile.TemporaryDirectory(prefix="relay-bench-") as directory:
            config = Path(directory, "nginx.conf")
            config.write_text(nginx_config(directory, port))
            command = [_nginx(), "-p", directory, "-e", "stderr", "-c", str(config)]
            # SIGTERM, because a worker survives a killed master.
            with Child(
                self.title, command, place.server_core, death_signal=signal.SIGTERM
            ) as child:
                child.wait_for_port(port)
                dialect = HttpPost(port, "/publish/")
                yield Running(child, ("127.0.0.1", port), "/stream/", dialect, "/stream/{}")


class EventStream(Server):
    """django-eventstream on Daphne, with messages from Redis (bench/eventstream_project.py)."""

    max_streams = 1_000
    max_messages = 3_000
    install = "pip install -r requirements-bench.txt"

    def installed(self) -> bool:
        return importlib.util.find_spec("django_eventstream") is not None

    def version(self) -> str:
        return f"django-eventstream {version('django-eventstream')}, daphne {version('daphne')}"

    @contextmanager
    def start(self, place: Place) -> Iterator[Running]:
        port = free_port()
        command = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "-v", "0"]
        command += ["bench.eventstream_project:application"]
        env = {**os.environ, "REDIS_PORT": str(place.redis_port)}
        with Child(self.title, command, place.server_core, env) as child:
            child.wait_for_port(port)
            dialect = RedisPublish(place.redis_port, "events_channel", _as_eventstream)
            yield Running(child, ("127.0.0.1", port), "/events/", dialect)


SERVERS: tuple[Server, ...] = (
    Hub("hub", "Relay Hub"),
    HubUnderDaphne("hub-daphne", "Relay Hub, daphne", {"RELAY_PREFIX": "relay-daphne"}),
    Floor("floor", "bare send loop"),
    Nchan("nchan", "nchan"),
    EventStream("django-eventstream", "django-eventstream"),
)


@contextmanager
def start_redis(core: int) -> Iterator[tuple[int, int]]:
    """Runs a private redis-server. Yields its port and process id.

    Its output buffer for a subscriber has no limit. So publishing at full speed measures the server,
    and does not make Redis disconnect it.
    """
    port = free_port()
    try:
        program = find_redis_server()
    except RuntimeError as error:
        raise BenchError(str(error)) from None
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as directory:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", directory]
        command += ["--save", "", "--appendonly", "no", "--loglevel", "warning"]
        command += ["--client-output-buffer-limit", "pubsub", "0", "0", "0"]
        with Child("redis-server", command, core) as child:
            child.wait_for_port(port)
            yield port, child.pid


def redis_version() -> str:
    words = subprocess.run([find_redis_server(), "--version"], capture_output=True, text=True)
    found = re.search(r"v=(\S+)", words.stdout)
    return found[1] if found else "?"


def nginx_config(directory: str, port: int) -> str:
    """Returns the fastest configuration of nchan that loses no message."""
    return f"""\
load_module {_nchan_module()};
user {pwd.getpwuid(os.getuid()).pw_name};
daemon off;
worker_processes 1;
worker_rlimit_nofile {MAX_STREAMS};
pid {directory}/nginx.pid;
error_log stderr crit;
events {{
    worker_connections {MAX_STREAMS};
    multi_accept on;
}}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_body_temp_path {directory};
    proxy_temp_path {directory};
    fastcgi_temp_path {directory};
    uwsgi_temp_path {directory};
    scgi_temp_path {directory};
    nchan_shared_memory_size 1024M;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /stream/ {{
            nchan_subscriber eventsource;
            nchan_channel_id {CHANNEL};
            nchan_subscriber_first_message newest;
        }}
        location ~ ^/stream/([0-9]+)$ {{
            nchan_subscriber eventsource;
            nchan_channel_id {CHANNEL}.$1;
            nchan_subscriber_first_message newest;
        }}
        location = /publish/ {{
            nchan_publisher http;
            nchan_channel_id {CHANNEL};
            nchan_message_buffer_length {2 * Nchan.max_messages};
            nchan_message_timeout 300s;
        }}
    }}
}}
"""


def _wait_until_healthy(child: Child, port: int) -> None:
    """Waits until the hub has subscribed: a stream opened before may begin with a notice of a gap."""
    deadline = time.monotonic() + HEALTHY_SECONDS
    while time.monotonic() < deadline:
        interrupt.check()
        child.require_alive()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/", timeout=5):
                return
        except OSError:  # 503 is one as well
            time.sleep(0.05)
    raise BenchError(f"{child.name} was not healthy within {HEALTHY_SECONDS:g} s")


def _as_eventstream(payload: bytes) -> bytes:
    """Returns the message that its `send_event(…, json_encode=False)` publishes."""
    return b'{"channel": "%b", "event_type": "message", "data": "%b", "pub_id": null}' % (
        CHANNEL.encode(),
        payload,
    )


def _nginx() -> str:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which("nginx", path=path) or ""


def _nginx_build() -> str:
    return subprocess.run([_nginx(), "-V"], capture_output=True, text=True).stderr


def _nchan_module() -> str:
    found = re.search(r"--modules-path=(\S+)", _nginx_build())
    module = Path(found[1] if found else "/usr/lib/nginx/modules", "ngx_nchan_module.so")
    return str(module) if module.exists() else ""


def _debian_version(package: str) -> str:
    if not shutil.which("dpkg-query"):
        return "(not from Debian)"
    command = ["dpkg-query", "--show", "--showformat=${Version}", package]
    return subprocess.run(command, capture_output=True, text=True).stdout or "(not from Debian)"
