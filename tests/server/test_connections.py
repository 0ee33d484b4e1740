"""How connections come in, over raw sockets: by the door of `relay serve`, and by Daphne alone."""

import contextlib
import resource
import signal
import socket
import struct
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.support.client import Stream, ask, read_until
from tests.support.servers import COMMANDS, HubProcess, RedisServer, StartHub
from tests.support.waiting import wait_until

HEAD = b"GET /stream/ HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n"
PAGE = b"GET /health/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
REFUSED = b"GET /stream/?channel=nosuch HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture(scope="module", params=["serve", "daphne"])
def served(request: pytest.FixtureRequest, redis_of_module: RedisServer) -> Iterator[HubProcess]:
    hub = HubProcess(redis_of_module.url, COMMANDS[request.param])
    yield hub
    hub.close()


@pytest.fixture
def connection(served: HubProcess) -> Iterator[socket.socket]:
    served.wait_for_streams(0)
    with socket.create_connection(("127.0.0.1", served.port), 10) as connection:
        yield connection


def becomes_live(connection: socket.socket, redis: RedisServer) -> bytes:
    """Returns what was read until a message that is published now has come."""
    head = read_until(connection, b"id: ", 10)
    redis.publish("live")
    return head + read_until(connection, b"data: live\n\n", 10)


@pytest.mark.parametrize("at", [1, 4, 20, 40, len(HEAD) - 2, len(HEAD) - 1])
def test_a_head_in_two_pieces_opens_a_stream(
    served: HubProcess, connection: socket.socket, redis_of_module: RedisServer, at: int
) -> None:
    connection.sendall(HEAD[:at])
    time.sleep(0.05)
    connection.sendall(HEAD[at:])
    assert becomes_live(connection, redis_of_module).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_head_after_a_silence_opens_a_stream(
    served: HubProcess, connection: socket.socket, redis_of_module: RedisServer
) -> None:
    time.sleep(1.5)  # longer than the kernel waits for the first bytes
    connection.sendall(HEAD)
    becomes_live(connection, redis_of_module)


@pytest.mark.parametrize(
    "more", [b"x", PAGE, HEAD, b"\0" * 4000], ids=["byte", "page", "stream", "junk"]
)
def test_what_follows_a_stream_is_never_answered(
    served: HubProcess, connection: socket.socket, redis_of_module: RedisServer, more: bytes
) -> None:
    connection.sendall(HEAD + more)
    answer = becomes_live(connection, redis_of_module)
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("first", [PAGE, REFUSED], ids=["page", "refusal"])
def test_a_stream_may_follow_an_answer_on_the_same_connection(
    served: HubProcess, connection: socket.socket, redis_of_module: RedisServer, first: bytes
) -> None:
    connection.sendall(first)
    read_until(connection, b"}", 10)
    connection.sendall(HEAD)
    becomes_live(connection, redis_of_module)


def test_answers_on_one_connection_are_whole_and_in_order(
    served: HubProcess, connection: socket.socket
) -> None:
    for _ in range(3):
        connection.sendall(REFUSED)
        answer = read_until(connection, b"}\n", 10)
        head, body = answer.split(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404 Not Found\r\n")
        assert b"\r\nContent-Length: %d" % len(body) in head


@pytest.mark.parametrize(
    "text",
    [
        HEAD.replace(b"Host", b"Host: 127.0.0.1\r\nHost"),
        HEAD.replace(b"Host: 127.0.0.1\r\n", b""),
        HEAD.replace(b"\r\n", b"\n"),
        HEAD.replace(
            b"\r\n\r\n", b"\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        HEAD.replace(b"\r\n\r\n", b"\r\nContent-Length: x\r\n\r\n"),
        HEAD.replace(b"HTTP/1.1", b"HTTP/1.1 "),
    ],
    ids=["two hosts", "no host", "bare LF", "two lengths", "no number", "blank"],
)
def test_what_one_could_read_in_two_ways_opens_no_stream(
    served: HubProcess, connection: socket.socket, text: bytes
) -> None:
    connection.sendall(text)
    connection.shutdown(socket.SHUT_WR)
    answer = b""
    with contextlib.suppress(ConnectionError):
        while received := connection.recv(65_536):
            answer += received
    assert b" 200 OK" not in answer
    assert served.health()["streams_open"] == 0


@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_a_client_that_leaves_in_any_way_leaves_nothing(
    served: HubProcess, connection: socket.socket, redis_of_module: RedisServer, how: str
) -> None:
    connection.sendall(HEAD)
    becomes_live(connection, redis_of_module)
    served.wait_for_streams(1)
    if how == "half":
        connection.shutdown(socket.SHUT_WR)
    else:
        if how == "reset":
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.close()
    served.wait_for_streams(0)


def test_a_client_that_floods_an_open_stream_costs_nothing(
    served: HubProcess, connection: socket.socket, redis_of_module: RedisServer
) -> None:
    assert served.process is not None
    process = psutil.Process(served.process.pid)
    connection.sendall(HEAD)
    becomes_live(connection, redis_of_module)
    before = process.memory_info().rss
    connection.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        for _ in range(200):
            connection.sendall(b"x" * 65_536)
    assert process.memory_info().rss - before < 4_000_000
    connection.settimeout(10)
    redis_of_module.publish("still")
    read_until(connection, b"data: still\n\n", 10)
    # What the hub does not read delays the news that the client has left, until the next write.
    connection.close()
    redis_of_module.publish("gone")
    served.wait_for_streams(0)


def test_three_hundred_silent_connections_delay_nobody(
    served: HubProcess, connection: socket.socket, redis_of_module: RedisServer
) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            silent = socket.create_connection(("127.0.0.1", served.port), 10)
            stack.enter_context(contextlib.closing(silent))
        connection.sendall(HEAD)
        becomes_live(connection, redis_of_module)
    assert ask(served.url, "/health/").status == 200


@pytest.mark.parametrize("server", ["serve", "daphne"])
def test_nothing_of_a_stream_stays_with_the_server(
    start_hub: StartHub, redis_server: RedisServer, server: str
) -> None:
    """No task, no record and no descriptor, while it is open and afterwards."""
    hub = start_hub(command=COMMANDS[server])
    assert hub.process is not None
    process = psutil.Process(hub.process.pid)
    tasks, descriptors = hub.health()["tasks"], process.num_fds()
    streams = [Stream(hub.url) for _ in range(100)]
    hub.wait_for_streams(100)
    wait_until(lambda: hub.health()["tasks"] <= tasks, "no task belongs to a stream")
    assert process.num_fds() <= descriptors + 101  # and one epoll for all
    for stream in streams:
        stream.close()
    hub.wait_for_streams(0)
    wait_until(lambda: process.num_fds() <= descriptors + 1, "every descriptor is closed")


@pytest.mark.parametrize("server", ["serve", "daphne"])
def test_streams_end_properly_with_the_process(start_hub: StartHub, server: str) -> None:
    hub = start_hub(command=COMMANDS[server])
    streams = [Stream(hub.url) for _ in range(50)]
    hub.wait_for_streams(50)
    for stream in streams[:25]:  # unread bytes would make the kernel reset the connection
        stream.connection.sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert hub.process is not None
    hub.process.send_signal(signal.SIGTERM)
    for stream in streams:
        assert list(stream.events()) == []
        assert stream.lines[-2].startswith(b"retry: ")
        stream.close()
    assert hub.process.wait(15) == 0


def test_over_ipv6(start_hub: StartHub, redis_server: RedisServer) -> None:
    command = ["manage.py", "relay", "serve", "--host", "::1", "--port", "{port}"]
    hub = start_hub(command=["-c", _both(command)])
    with socket.create_connection(("::1", hub.port), 10) as connection:
        connection.sendall(HEAD.replace(b"127.0.0.1", b"[::1]"))
        becomes_live(connection, redis_server)


def _both(command: list[str]) -> str:
    """The command, and a forwarder from 127.0.0.1, where the fixtures look for the hub."""
    return f"""
import os, subprocess, sys, socket, threading
words = {command!r}
child = subprocess.Popen([sys.executable, *words])
server = socket.create_server(("127.0.0.1", int(words[-1])))
def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    finally:
        b.shutdown(socket.SHUT_RDWR)
while True:
    client, _ = server.accept()
    try:
        up = socket.create_connection(("::1", int(words[-1])))
    except OSError:
        client.close()
        continue
    threading.Thread(target=pump, args=(client, up), daemon=True).start()
    threading.Thread(target=pump, args=(up, client), daemon=True).start()
"""


@pytest.mark.parametrize("server", ["serve", "daphne"])
def test_without_a_free_descriptor_streams_live_on_and_nothing_spins(
    start_hub: StartHub, redis_server: RedisServer, server: str
) -> None:
    hub = start_hub(command=COMMANDS[server])
    assert hub.process is not None
    process = psutil.Process(hub.process.pid)
    limit = process.num_fds() + 20
    resource.prlimit(hub.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
    with contextlib.ExitStack() as stack:
        sockets = []
        for _ in range(60):
            sock = socket.create_connection(("127.0.0.1", hub.port), 10)
            stack.enter_context(contextlib.closing(sock))
            sock.sendall(HEAD)
            sockets.append(sock)
        read_until(sockets[0], b"id: ", 10)
        time.sleep(0.5)
        before = sum(process.cpu_times()[:2])
        time.sleep(2)
        assert sum(process.cpu_times()[:2]) - before < 1
        redis_server.publish("live")
        read_until(sockets[0], b"data: live\n\n", 10)
    with Stream(hub.url) as stream:
        wait_until(lambda: hub.health()["streams_open"] == 1, "there is room again", 10)
        redis_server.publish("again")
        assert stream.event().data == "again"
