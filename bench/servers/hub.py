"""Relay Hub, by its own command and by Daphne's."""

import os
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version

from bench import interrupt
from bench.errors import BenchError, Missing
from bench.process import Child, free_port
from bench.publisher import Dialect, RedisAdd, RedisPublish
from bench.servers.base import CHANNEL, MAX_STREAMS, Place, Running, Server

HEALTHY_SECONDS = 20.0


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
            dialect = self._dialect(place)
            own_path = f"/stream/?channel={self._channel}.{{}}"
            yield Running(child, ("127.0.0.1", port), "/stream/", dialect, own_path)

    def _dialect(self, place: Place) -> Dialect:
        return RedisPublish(place.redis_port, self._channel)

    def _command(self, port: int) -> list[str]:
        serve = [sys.executable, "manage.py", "relay", "serve", "--host", "127.0.0.1"]
        return [*serve, "--port", str(port)]


class HubOfStreams(Hub):
    """This project, with a Redis Stream as the channel instead of pub/sub."""

    repeats = 1

    def __init__(self, name: str, title: str) -> None:
        channel = "demo_entries"
        stored = f"{channel}=public+stream {channel}.*=public+stream"
        super().__init__(name, title, {"RELAY_CHANNELS": stored}, channel)

    def without_history(self) -> "Hub":
        raise Missing("its history is the stream")

    def _dialect(self, place: Place) -> Dialect:
        return RedisAdd(place.redis_port, self._channel)


class HubWithWorkers(Hub):
    """This project with several workers, which here share a core: what a second one costs."""

    repeats = 1

    def without_history(self) -> "Hub":
        raise Missing("its history is the same")


class HubUnderDaphne(Hub):
    """This project under Daphne's own command, whose queue of connections has 50 places."""

    resumes = False

    def without_history(self) -> "Hub":
        raise Missing("its history is the same")

    def _command(self, port: int) -> list[str]:
        daphne = [sys.executable, "-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(port)]
        return [*daphne, "hub.asgi:application"]


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
