"""The bare send loop, beside which any Python server can be measured."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.process import Child, free_port
from bench.publisher import RedisPublish
from bench.servers.base import CHANNEL, Place, Running, Server


class Floor(Server):
    """The least that any Python server must do (bench/floor.py)."""

    repeats = 1

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
