"""Thousands of channels, each with its clients, on one process."""

import resource
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.client import Stream, raw_request
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.waiting import wait_until

CHANNELS = 5_000


class Crowd:
    """A client for each of `orders.0`, `orders.1`, ... Use as a context manager."""

    def __init__(self, hub: HubProcess) -> None:
        self._hub = hub
        self._stack = ExitStack()
        self._selector = selectors.DefaultSelector()
        self.received = [b""] * CHANNELS

    def __enter__(self) -> "Crowd":
        self._stack.callback(self._selector.close)
        for number in range(CHANNELS):
            request = f"GET /stream/?channel=orders.{number} HTTP/1.1\r\nHost: localhost\r\n\r\n"
            connection = self._stack.enter_context(raw_request(self._hub.url, request.encode()))
            connection.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ, number)
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def wait_for(self, mark: Callable[[int], bytes], seconds: float = 60.0) -> None:
        """Reads until each client has its mark."""
        missing = {n for n in range(CHANNELS) if mark(n) not in self.received[n]}
        deadline = time.monotonic() + seconds
        while missing:
            assert time.monotonic() < deadline, f"{len(missing)} have no {mark(0)!r}"
            for key, _ in self._selector.select(0.1):
                assert isinstance(key.fileobj, socket.socket)
                received = key.fileobj.recv(65_536)
                assert received, f"stream {key.data} has ended"
                self.received[key.data] += received
                if mark(key.data) in self.received[key.data]:
                    missing.discard(key.data)


@pytest.fixture
def many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def publish_to_all(redis_server: RedisServer, text: str) -> None:
    with redis_server.client() as client, client.pipeline(transaction=False) as pipeline:
        for number in range(CHANNELS):
            pipeline.publish(f"orders.{number}", f"{text} {number}")
        assert pipeline.execute() == [1] * CHANNELS


def messages(received: bytes) -> list[bytes]:
    return [line for line in received.split(b"\n") if line.startswith((b"data: ", b"event: "))]


@pytest.mark.long
@pytest.mark.usefixtures("many_files")
def test_five_thousand_channels_with_a_client_each_lose_nothing(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_CHANNELS="orders.*")
    with Crowd(hub) as crowd:
        crowd.wait_for(lambda n: b"\nid: ")
        publish_to_all(redis_server, "first")
        crowd.wait_for(lambda n: b"data: first %d\n\n" % n)
        with redis_server.client() as client:
            keys = [f"relay:{{orders.{n}}}:log" for n in range(CHANNELS)]
            wait_until(lambda: client.exists(*keys) == CHANNELS, "each has its history", 20)
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        wait_until(lambda: "live again" in hub.log(), "the hub is back", 30)
        publish_to_all(redis_server, "second")
        crowd.wait_for(lambda n: b"data: second %d\n\n" % n)
    for n, received in enumerate(crowd.received):
        # Alone, the hub may have missed something while it was away, and says so.
        found = messages(received)
        assert [found[0], found[-1]] == [b"data: first %d" % n, b"data: second %d" % n]
        assert found[1:-1] == [] or found[1:-2] == [b"event: hub.gap"]


def test_a_client_that_asks_for_thousands_of_channels_harms_no_other(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_CHANNELS="orders.*", RELAY_CHANNEL_IDLE_SECONDS=5)
    with Stream(hub.url) as bystander:
        events = bystander.events()
        redis_server.publish("ready")
        assert next(events).data == "ready"
        greedy = [
            Stream(hub.url, "/stream/?" + "&".join(f"channel=orders.{n}.{m}" for m in range(50)))
            for n in range(100)
        ]
        for n in range(20):
            redis_server.publish(str(n))
            assert next(events).data == str(n)
            assert hub.health()["redis"] == "live"
        for stream in greedy:
            stream.close()
        assert redis_server.publish("last", "demo_stream") == 1
        assert next(events).data == "last"
    assert "lost" not in hub.log()
