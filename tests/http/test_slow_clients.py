"""Clients that stop reading: what they cost, what they are told, when they are cut."""

import json
import re
import socket
import threading
from collections.abc import Callable
from functools import partial

import psutil
import pytest

from tests.support.client import open_raw_stream, read_until
from tests.support.command import relay_command
from tests.support.servers import COMMANDS, HubProcess, RedisServer, StartHub
from tests.support.waiting import wait_until

MB = 1_000_000


def payload(n: int, size: int) -> bytes:
    return b"%010d" % n + b"x" * (size - 10)


def publish_bytes(
    redis_server: RedisServer,
    total: int,
    size: int = 10_000,
    until: Callable[[int], bool] = lambda _: True,
) -> int:
    """Publishes numbered messages of `size` bytes, `total` bytes in all; returns how many.

    Before each hundred it waits until `until(their first number)`.
    """
    number = total // size
    with redis_server.client() as client:
        for first in range(0, number, 100):
            wait_until(partial(until, first), f"{first} may be published", 60)
            pipe = client.pipeline(transaction=False)
            for n in range(first, first + 100):
                pipe.publish("demo_stream", payload(n, size))
            pipe.execute()
        client.publish("demo_stream", b"end")
    return number


def read_numbers(stream: socket.socket) -> list[int]:
    data = read_until(stream, b"data: end\n\n", 60)
    return [int(n) for n in re.findall(rb"data: (\d{10})x", data)]


class QuickReader(threading.Thread):
    """Reads a stream to its end, and says how far it has come."""

    def __init__(self, stream: socket.socket) -> None:
        super().__init__(daemon=True)
        self.numbers: list[int] = []
        self._stream = stream

    def run(self) -> None:
        rest = b""
        while b"data: end\n\n" not in rest:
            received = self._stream.recv(262_144)
            assert received, "the stream ended"
            rest = rest[-16:] + received  # 17 bytes make a number, so none is found twice
            self.numbers += [int(n) for n in re.findall(rb"data: (\d{10})x", rest)]


def test_twenty_stalled_clients_cost_little_and_delay_nobody(
    hub: HubProcess, redis_server: RedisServer
) -> None:
    assert hub.process is not None
    process = psutil.Process(hub.process.pid)
    stalled = [open_raw_stream(hub.url, receive_buffer=65_536) for _ in range(20)]
    quick = [open_raw_stream(hub.url) for _ in range(3)]
    hub.wait_for_streams(23)
    before = process.memory_info().rss
    readers = [QuickReader(stream) for stream in quick]
    for reader in readers:
        reader.start()

    def followed(first: int) -> bool:
        return all(len(reader.numbers) >= first - 500 for reader in readers)

    number = publish_bytes(redis_server, 200 * MB, until=followed)
    for reader in readers:
        reader.join(60)
        assert reader.numbers == list(range(number))
    assert process.memory_info().rss - before < 64 * MB
    for stream in [*stalled, *quick]:
        stream.close()


def test_a_client_that_reads_again_is_caught_up_or_told_the_exact_number(
    hub: HubProcess, redis_server: RedisServer
) -> None:
    stream = open_raw_stream(hub.url, receive_buffer=65_536)
    hub.wait_for_streams(1)
    number = publish_bytes(redis_server, 60 * MB)
    wait_until(lambda: hub.health()["messages"] > number, "the hub has received everything", 30)
    data = b"retry" + read_until(stream, b"data: end\n\n", 60)
    expected = 0
    gaps = 0
    pattern = rb"data: (\d{10})x|event: hub\.gap\ndata: (\{.*?\})"
    for match in re.finditer(pattern, data):
        if match[1]:
            assert int(match[1]) == expected
            expected += 1
        else:
            gap = json.loads(match[2])
            assert (gap["channel"], gap["reason"]) == ("demo_stream", "slow-client")
            expected += gap["missed"]
            gaps += 1
    assert expected == number
    assert gaps >= 1
    assert hub.health()["gaps_slow_client"] == gaps
    stream.close()


def test_a_short_stall_loses_nothing(hub: HubProcess, redis_server: RedisServer) -> None:
    stream = open_raw_stream(hub.url, receive_buffer=65_536)
    hub.wait_for_streams(1)
    number = publish_bytes(redis_server, 12 * MB)
    assert read_numbers(stream) == list(range(number))
    assert hub.health()["gaps_slow_client"] == 0
    stream.close()


def test_one_that_takes_nothing_is_cut(start_hub: StartHub, redis_server: RedisServer) -> None:
    hub = start_hub(RELAY_STALL_SECONDS=2)
    stuck = open_raw_stream(hub.url, receive_buffer=65_536)
    quiet = open_raw_stream(hub.url, receive_buffer=65_536)
    reader = threading.Thread(target=read_numbers, args=[quiet])
    hub.wait_for_streams(2)
    reader.start()
    publish_bytes(redis_server, 20 * MB)
    reader.join(60)
    wait_until(lambda: hub.health()["streams_cut"] == 1, "the stuck client is cut", 10)
    hub.wait_for_streams(1)
    stuck.close()
    quiet.close()


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_a_stream_that_was_ended_goes_even_if_its_client_takes_nothing(
    start_hub: StartHub, redis_server: RedisServer, server: str
) -> None:
    hub = start_hub(RELAY_STALL_SECONDS=5, command=COMMANDS[server])
    stuck = open_raw_stream(hub.url, receive_buffer=65_536)
    hub.wait_for_streams(1)
    publish_bytes(redis_server, 5 * MB)
    relay_command("kick", "--all", REDIS_URL=redis_server.url).check_returncode()
    assert hub.health()["streams_cut"] == 0
    wait_until(lambda: hub.health()["streams_open"] == 0, "the stuck client is gone", 15)
    assert hub.process is not None
    process, port = psutil.Process(hub.process.pid), stuck.getsockname()[1]

    def is_connected() -> bool:
        return any(c.raddr and c.raddr.port == port for c in process.net_connections("tcp"))

    if server == "daphne":  # others have limits of their own
        wait_until(lambda: not is_connected(), "its connection is closed", 15)
    stuck.close()


def test_a_stalled_client_on_another_server_is_bounded_and_caught_up(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(command=["-m", "uvicorn", "--port", "{port}", "hub.asgi:application"])
    assert hub.process is not None
    stalled = [open_raw_stream(hub.url, receive_buffer=65_536) for _ in range(10)]
    hub.wait_for_streams(10)
    process = psutil.Process(hub.process.pid)
    before = process.memory_info().rss
    number = publish_bytes(redis_server, 60 * MB)
    assert process.memory_info().rss - before < 64 * MB
    data = read_until(stalled[0], b"data: end\n\n", 60)
    numbers = [int(n) for n in re.findall(rb"data: (\d{10})x", data)]
    missed = sum(json.loads(g)["missed"] for g in re.findall(rb"hub\.gap\ndata: (\{.*?\})", data))
    assert len(numbers) + missed == number
    assert numbers == sorted(set(numbers))
    for stream in stalled:
        stream.close()
