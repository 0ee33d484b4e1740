"""django-eventstream."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from bench.process import Child, free_port
from bench.publisher import RedisPublish
from bench.servers.base import CHANNEL, Place, Running, Server


class EventStream(Server):
    """django-eventstream on Daphne, with messages from Redis (bench/eventstream_project.py)."""

    repeats = 1
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


def _as_eventstream(payload: bytes) -> bytes:
    """Returns the message that its `send_event(…, json_encode=False)` publishes."""
    return b'{"channel": "%b", "event_type": "message", "data": "%b", "pub_id": null}' % (
        CHANNEL.encode(),
        payload,
    )
