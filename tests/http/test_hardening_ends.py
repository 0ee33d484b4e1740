"""Streams that cannot go on are cut, whichever way they are served, and what a stopping process answers."""

import contextlib
import http.client
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.http.test_slow_clients import MB, publish_bytes
from tests.support.client import Stream, ask, open_raw_stream, raw_request
from tests.support.servers import HubProcess, RedisServer, StartHub, free_port
from tests.support.waiting import at_most, wait_until

WRAPPED = "tests.support.wrapped:behind_middleware"
WAYS = {
    "daphne": ["-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", "{port}", WRAPPED],
    "uvicorn": ["-m", "uvicorn", "--port", "{port}", WRAPPED],
    "hypercorn": ["-m", "hypercorn", "--bind", "127.0.0.1:{port}", WRAPPED],
    "granian": ["-m", "granian", "--interface", "asgi", "--port", "{port}", WRAPPED],
}
STREAM = b"GET /stream/ HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n"


@pytest.mark.parametrize("way", WAYS)
def test_behind_middleware_a_client_that_does_not_read_is_bounded_and_cut(
    start_hub: StartHub, redis_server: RedisServer, way: str
) -> None:
    pytest.importorskip(way)
    hub = start_hub(command=WAYS[way], RELAY_STALL_SECONDS=3)
    assert hub.process is not None
    process = server_of(psutil.Process(hub.process.pid))
    stuck = open_raw_stream(hub.url, receive_buffer=65_536)
    hub.wait_for_streams(1)
    before = process.memory_info().rss
    publish_bytes(redis_server, 100 * MB)
    assert process.memory_info().rss - before < 64 * MB
    wait_until(lambda: hub.health()["streams_cut"] == 1, "the stuck client is cut", 15)
    hub.wait_for_streams(0)
    stuck.close()


def server_of(process: psutil.Process) -> psutil.Process:
    """The worker, where a server has one."""
    workers = [c for c in process.children() if "resource_tracker" not in " ".join(c.cmdline())]
    return workers[-1] if workers else process


def test_over_tls_in_daphne_a_client_that_does_not_read_is_bounded_and_cut(
    tmp_path: Path, start_hub: StartHub, redis_server: RedisServer
) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    words = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=hub"
    subprocess.run([*words.split(), "-keyout", key, "-out", cert], check=True, capture_output=True)
    tls = free_port()
    endpoint = f"ssl:{tls}:interface=127.0.0.1:privateKey={key}:certKey={cert}"
    command = ["-m", "daphne", "-v", "0", "-e", endpoint, "-b", "127.0.0.1", "-p", "{port}"]
    hub = start_hub(command=[*command, "hub.asgi:application"], RELAY_STALL_SECONDS=3)
    assert hub.process is not None
    client = subprocess.Popen(
        ["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{tls}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert client.stdin is not None
    client.stdin.write(STREAM)
    client.stdin.flush()
    hub.wait_for_streams(1)
    client.send_signal(signal.SIGSTOP)
    process = psutil.Process(hub.process.pid)
    before = process.memory_info().rss
    publish_bytes(redis_server, 100 * MB)
    assert process.memory_info().rss - before < 64 * MB
    wait_until(lambda: hub.health()["streams_cut"] == 1, "the stuck client is cut", 15)
    hub.wait_for_streams(0)
    wait_until(lambda: not connected(process, tls), "its connection is closed", 10)
    client.kill()
    client.communicate()


def connected(process: psutil.Process, port: int) -> bool:
    return any(c.laddr.port == port and c.raddr for c in process.net_connections("tcp"))


FAILING = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
from django.core.asgi import get_asgi_application
from relay.asgi import relay_application
site = get_asgi_application()
application = relay_application(site)
from relay.engine.hub import Hub
def join(self, *arguments):
    raise RuntimeError("injected")
Hub.join = join
"""


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_a_stream_whose_consumer_fails_after_it_began_is_cut(
    tmp_path: Path, start_hub: StartHub, server: str
) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    command = [word.replace(WRAPPED, "failing:application") for word in WAYS[server]]
    hub = start_hub(command=command, PYTHONPATH=str(tmp_path))
    begin = time.monotonic()
    with (
        contextlib.suppress(ConnectionError, EOFError, http.client.HTTPException),
        Stream(hub.url, timeout=30) as stream,
    ):
        while True:
            stream.line()
    assert time.monotonic() - begin < at_most(3)
    hub.wait_for_log("A stream failed; this is a bug.")
    assert ask(hub.url, "/health/").status == 200


def test_a_stopping_process_listens_no_more_and_answers_who_has_come(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub()
    assert hub.process is not None
    hub.process.send_signal(signal.SIGSTOP)  # so that these wait in the queue of the kernel
    waiting = [raw_request(hub.url, STREAM) for _ in range(60)]
    hub.process.send_signal(signal.SIGTERM)
    hub.process.send_signal(signal.SIGCONT)
    begin = time.monotonic()
    for connection in waiting:
        answer = b""
        while received := connection.recv(65536):
            answer += received
        assert b" 200 OK" in answer
        retry = int(answer.split(b"retry: ")[1].split(b"\n")[0])
        assert retry <= 3000
        connection.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", hub.port))
    assert hub.process.wait(10) == 0
    assert time.monotonic() - begin < at_most(5)


def test_a_stop_under_heads_that_never_end_is_bounded(start_hub: StartHub) -> None:
    hub = start_hub()
    half = [raw_request(hub.url, b"GET /stream/ HTTP/1.1\r\nX: ") for _ in range(20)]
    begin = time.monotonic()
    assert hub.stop() == 0
    assert time.monotonic() - begin < at_most(5)
    assert "Traceback" not in hub.log()
    for connection in half:
        connection.close()


def test_threads_are_bounded_while_redis_hangs(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub()
    assert hub.process is not None
    process, most = psutil.Process(hub.process.pid), 0
    redis_server.signal(signal.SIGSTOP)
    try:
        text = (
            b"GET /presence/demo_stream/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        )
        asked = [raw_request(hub.url, text, 30) for _ in range(300)]
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            most = max(most, process.num_threads())
            time.sleep(0.05)
        for connection in asked:
            assert connection.recv(65536).startswith(b"HTTP/1.1 503 ")
            connection.close()
    finally:
        redis_server.signal(signal.SIGCONT)
    assert most < 100


def test_uvicorn_in_a_thread_starts(redis_server: RedisServer) -> None:
    code = (
        "import threading, time, uvicorn\n"
        "server = uvicorn.Server(uvicorn.Config('hub.asgi:application', port=PORT))\n"
        "threading.Thread(target=server.run).start()\n"
        "time.sleep(60)\n"
    )
    hub = HubProcess(redis_server.url, ["-c", code.replace("PORT", "{port}")])
    try:
        with Stream(hub.url) as stream:
            hub.wait_for_streams(1)
            redis_server.publish("live")
            assert stream.event().data == "live"
    finally:
        hub.close()


def test_opens_at_a_high_rate_leave_no_records(start_hub: StartHub) -> None:
    """More than a thousand a second used to be kept for ever."""
    hub = start_hub()
    assert hub.process is not None
    process = psutil.Process(hub.process.pid)

    def open_many(number: int) -> None:
        for _ in range(number):
            raw_request(hub.url, STREAM.replace(b"GET", b"HEAD")).close()

    open_many(1000)
    time.sleep(1)
    before = process.memory_info().rss
    threads = [threading.Thread(target=open_many, args=[2500]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert process.memory_info().rss - before < 32 * MB


ECHO = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
from channels.generic.websocket import WebsocketConsumer
from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application
from relay.asgi import relay_application
site = get_asgi_application()
class Echo(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        self.send(text_data=text_data)
inner = ProtocolTypeRouter({"http": site, "websocket": Echo.as_asgi()})
application = relay_application(inner)
"""

HANDSHAKE = (
    b"GET /ws/ HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def test_a_site_keeps_its_websockets(tmp_path: Path, start_hub: StartHub) -> None:
    (tmp_path / "echoing.py").write_text(ECHO)
    command = [word.replace(WRAPPED, "echoing:application") for word in WAYS["daphne"]]
    hub = start_hub(command=command, PYTHONPATH=str(tmp_path))
    with raw_request(hub.url, HANDSHAKE) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 101 ")
        connection.sendall(b"\x81\x85\0\0\0\0hello")
        assert connection.recv(65536) == b"\x81\x05hello"


def test_a_site_takes_uploads_up_to_its_setting(tmp_path: Path, start_hub: StartHub) -> None:
    """In pieces, so that the memory they take does not grow with them."""
    (tmp_path / "taking.py").write_text(TAKING)
    command = [word.replace(WRAPPED, "taking:application") for word in WAYS["daphne"]]
    hub = start_hub(command=command, PYTHONPATH=str(tmp_path), RELAY_BODY_BYTES=40_000_000)
    assert hub.process is not None
    memory = psutil.Process(hub.process.pid).memory_info
    before = memory().rss
    assert ask(hub.url, "/upload/", "POST", b"x" * 39_000_000).body == b"39000000"
    assert memory().rss - before < 16 * MB
    assert ask(hub.url, "/upload/", "POST", b"x" * 41_000_000).status == 413


TAKING = """
import asyncio, os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
from django.core.asgi import get_asgi_application
from relay.asgi import relay_application
site = get_asgi_application()
async def inner(scope, receive, send):
    if scope["type"] != "http" or scope["path"] != "/upload/":
        return await site(scope, receive, send)
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
        await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})
application = relay_application(inner)
"""
