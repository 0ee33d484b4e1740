"""`/stream/` on the real hub and a real Redis."""

import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.support.client import (
    Stream,
    ask_and_go_on,
    dechunk,
    open_raw_stream,
    raw_request,
    read_until,
)
from tests.support.corpus import CORPUS, as_received
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.waiting import wait_until, within

STREAM_TYPE = "text/event-stream; charset=utf-8"


def test_a_published_message_reaches_everybody_byte_for_byte(
    hub: HubProcess, redis_server: RedisServer
) -> None:
    with Stream(hub.url) as one, Stream(hub.url, "/stream") as two:
        hub.wait_for_streams(2)
        assert redis_server.publish("Test Event") == 1
        for stream in (one, two):
            assert stream.event().data == "Test Event"
            assert stream.lines[-2:] == [b"data: Test Event\n", b"\n"]


def test_the_headers_and_the_first_bytes(hub: HubProcess) -> None:
    with Stream(hub.url) as stream:
        headers = stream.response.headers
        assert stream.response.status == 200
        assert headers["Content-Type"] == STREAM_TYPE
        assert headers["Cache-Control"] == "no-cache, no-transform"
        assert headers["X-Accel-Buffering"] == "no"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert re.fullmatch(rb"retry: \d+", stream.line())


def test_retry_has_jitter(hub: HubProcess) -> None:
    lines = set()
    for _ in range(10):
        with Stream(hub.url) as stream:
            lines.add(stream.line())
    assert len(lines) > 3
    assert all(1000 <= int(line[7:]) <= 3000 for line in lines)


def test_messages_keep_their_order(hub: HubProcess, redis_server: RedisServer) -> None:
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        with redis_server.client() as client:
            pipe = client.pipeline(transaction=False)
            for n in range(20_000):
                pipe.publish("demo_stream", n)
            pipe.execute()
        assert stream.data(20_000) == [str(n) for n in range(20_000)]


def test_the_corpus_passes_through(hub: HubProcess, redis_server: RedisServer) -> None:
    payloads = {name: p for name, p in CORPUS.items() if p}
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        for name, payload in payloads.items():
            redis_server.publish(payload)
            event = stream.event()
            if name == "1 MiB of LF":
                assert event.event == "hub.oversize"
                assert event.json()["bytes"] == (1024 * 1024 + 1) * 7 + 1
                continue
            assert event.event == "message", name
            assert event.data == as_received(payload.decode(errors="replace")), name
        health = hub.health()
        assert (health["oversize"], health["invalid_utf8"]) == (1, 1)


def test_an_empty_message_is_an_event_with_empty_data(
    hub: HubProcess, redis_server: RedisServer
) -> None:
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        redis_server.publish("")
        redis_server.publish("end")
        next(line for line in iter(stream.line, b"data: end"))
        while stream.line() != b"data: end":
            pass
        assert stream.lines.count(b"data: \n") == 1


def test_an_http_1_0_client_gets_plain_bytes(hub: HubProcess, redis_server: RedisServer) -> None:
    connection = raw_request(hub.url, b"GET /stream/ HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
    with connection:
        hub.wait_for_streams(1)
        redis_server.publish("plain")
        received = read_until(connection, b"data: plain\n\n")
        assert b"Transfer-Encoding" not in received
        body = rb"retry: \d+\n:heartbeat=15\n\nid: (\d+)-0\n\nid: \1-1\ndata: plain\n\n"
        assert re.search(rb"\r\n\r\n" + body + rb"$", received)


def test_a_quiet_stream_gets_heartbeats(start_hub: StartHub) -> None:
    hub = start_hub(RELAY_HEARTBEAT_SECONDS=0.2)
    with Stream(hub.url) as stream:
        lines = [stream.line() for _ in range(11)]
        assert lines[1:3] == [b":heartbeat=0.2", b""]
        assert re.fullmatch(rb"id: \d+-0", lines[3])
        assert lines[4:] == [b"", *[b":", lines[3], b""] * 2]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
def test_other_methods_are_told_which_there_are(hub: HubProcess, method: str) -> None:
    status, headers, body = ask_and_go_on(
        hub.url, method=method, body=None if method == "TRACE" else b"x" * 5000
    )
    assert (status, headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert body


def test_head_and_options(hub: HubProcess) -> None:
    status, headers, body = ask_and_go_on(hub.url, method="HEAD")
    assert (status, headers["Content-Type"], body) == (200, STREAM_TYPE, b"")
    status, headers, body = ask_and_go_on(hub.url, method="OPTIONS")
    assert (status, headers["Allow"], body) == (204, "GET, HEAD, OPTIONS", b"")
    assert hub.health()["streams_open"] == 0


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("text/html", 406),
        ("application/json, text/plain;q=0.5", 406),
        ("text/event-stream;q=0, text/html", 406),
        ("text/event-stream;q=0, */*", 406),
    ],
)
def test_an_accept_without_event_streams_is_refused(
    hub: HubProcess, accept: str, status: int
) -> None:
    assert ask_and_go_on(hub.url, headers={"Accept": accept}).status == status


@pytest.mark.parametrize("accept", [b"", b"*/*", b"text/*;q=0.1", b"text/html, text/event-stream"])
def test_an_accept_with_event_streams_is_served(hub: HubProcess, accept: bytes) -> None:
    text = b"GET /stream/ HTTP/1.1\r\nHost: localhost\r\nAccept: %b\r\n\r\n" % accept
    with raw_request(hub.url, text) as connection:
        assert b" 200 OK" in read_until(connection, b"retry: ")


@pytest.mark.parametrize("host", [b"evil.example", b"127.0.0.1.evil.example", b"a b", b"", b"::"])
def test_a_foreign_host_is_refused(hub: HubProcess, host: bytes) -> None:
    text = b"GET /stream/ HTTP/1.1\r\nHost: %b\r\n\r\n" % host
    with raw_request(hub.url, text) as connection:
        assert b" 400 " in read_until(connection, b"\r\n\r\n")
    assert "evil" not in hub.log()


def test_a_get_with_a_body_is_a_stream(hub: HubProcess) -> None:
    text = b"GET /stream/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"
    with raw_request(hub.url, text) as connection:
        read_until(connection, b"retry: ")


def test_over_the_limit_an_event_source_is_sent_away_for_a_while(
    start_hub: StartHub,
) -> None:
    hub = start_hub(RELAY_MAX_STREAMS=2)
    with Stream(hub.url), Stream(hub.url):
        hub.wait_for_streams(2)
        with Stream(hub.url) as third:
            assert third.response.status == 200
            assert 15_000 <= int(third.line()[7:]) <= 45_000
            assert third.line() == b""
            with pytest.raises(EOFError):
                third.line()
        status, headers, _ = ask_and_go_on(hub.url, method="GET")
        assert (status, headers["Retry-After"]) == (503, "30")
        assert hub.health()["streams_refused"] == 2
    hub.wait_for_streams(0)
    with Stream(hub.url) as stream:
        assert stream.line().startswith(b"retry: ")


def test_500_clients_leave_without_a_trace(hub: HubProcess, redis_server: RedisServer) -> None:
    assert hub.process is not None
    process = psutil.Process(hub.process.pid)
    with Stream(hub.url):
        pass
    hub.wait_for_streams(0)
    before, tasks = process.num_fds(), hub.health()["tasks"]
    for _ in range(2):
        with ThreadPoolExecutor(50) as pool:
            streams = list(pool.map(lambda _: open_raw_stream(hub.url), range(500)))
        hub.wait_for_streams(500)
        for stream in streams:
            stream.close()
        with within(3):
            hub.wait_for_streams(0)
            wait_until(lambda: process.num_fds() <= before + 1, "file descriptors are back")
    wait_until(lambda: hub.health()["tasks"] <= tasks, "no task of theirs is left")
    time.sleep(1.2)  # a round of Daphne's own bookkeeping, which is where it would complain
    assert "took too long" not in hub.log()
    assert "Traceback" not in hub.log()


def test_sigterm_ends_streams_properly(hub: HubProcess) -> None:
    streams = [open_raw_stream(hub.url) for _ in range(20)]
    half = raw_request(hub.url, b"GET /stream/ HTTP/1.1\r\nHost: loc")
    with within(5):
        assert hub.stop() == 0
    retries = set()
    for stream in streams:
        rest = b""
        while received := stream.recv(4096):
            rest += received
        assert rest.endswith(b"0\r\n\r\n")
        body = dechunk(
            rest[rest.index(b"\r\n", 0) + 2 :] if rest.startswith(b"\r\n") else _from_chunk(rest)
        )
        retries.add(body)
        stream.close()
    half.close()
    assert len(retries) > 5
    assert "Traceback" not in hub.log()


def _from_chunk(rest: bytes) -> bytes:
    """From the first whole chunk on: the stream was left inside its first one."""
    return rest[re.search(rb"(?:^|\r\n)([0-9a-f]+\r\n:draining\n)", rest).start(1) :]  # type: ignore[union-attr]


SERVERS = {
    "daphne": ["-m", "daphne", "-p", "{port}", "hub.asgi:application"],
    "daphne -b": ["-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "hub.asgi:application"],
    "uvicorn": ["-m", "uvicorn", "--port", "{port}", "--timeout-graceful-shutdown", "2"]
    + ["hub.asgi:application"],
}


@pytest.mark.parametrize("server", SERVERS)
def test_other_ways_to_serve_the_same_hub(
    start_hub: StartHub, redis_server: RedisServer, server: str
) -> None:
    hub = start_hub(command=SERVERS[server])
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        with redis_server.client() as client:
            pipe = client.pipeline(transaction=False)
            for n in range(3000):
                pipe.publish("demo_stream", f"{n}")
            pipe.execute()
        assert stream.data(3000) == [str(n) for n in range(3000)]
        assert ask_and_go_on(hub.url, method="POST").status == 405
        assert ask_and_go_on(hub.url, method="HEAD").status == 200
    hub.wait_for_streams(0)
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        hub.stop()
        while True:
            try:
                stream.line()
            except (EOFError, OSError):
                break
        assert stream.lines[-2].startswith(b"retry: ")
    assert "Traceback" not in hub.log()


def test_a_websocket_is_refused_and_unknown_paths_are_not_found(hub: HubProcess) -> None:
    text = (
        b"GET /stream/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with raw_request(hub.url, text) as connection:
        assert b" 403 " in read_until(connection, b"\r\n\r\n")
    assert ask_and_go_on(hub.url, "/streams/").status == 404
    assert "Traceback" not in hub.log()


def test_curl_and_redis_cli_as_in_the_readme(hub: HubProcess, redis_server: RedisServer) -> None:
    with subprocess.Popen(["curl", "-sN", f"{hub.url}/stream/"], stdout=subprocess.PIPE) as curl:
        hub.wait_for_streams(1)
        cli = ["redis-cli", "-p", str(redis_server.port), "publish", "demo_stream", "Test Event"]
        assert subprocess.check_output(cli) == b"1\n"
        assert curl.stdout is not None
        while curl.stdout.readline() != b"data: Test Event\n":
            pass
        curl.terminate()


def test_one_redis_connection_whatever_the_number_of_clients(
    hub: HubProcess, redis_server: RedisServer
) -> None:
    streams = [open_raw_stream(hub.url) for _ in range(30)]
    hub.wait_for_streams(30)
    with redis_server.client() as client:
        names = [c["name"] for c in client.client_list() if c["name"] == "relay-hub"]
    assert names == ["relay-hub"]
    for stream in streams:
        stream.close()
