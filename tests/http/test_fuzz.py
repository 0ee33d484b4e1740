"""The whole HTTP surface, fuzzed on the running hub, with the longest stall of its event loop."""

import contextlib
import os
import random
import time

import psutil
import pytest

from tests.support.client import ask, raw_request
from tests.support.latency import longest_wait
from tests.support.servers import HubProcess, StartHub
from tests.support.waiting import at_most

SECONDS = float(os.environ.get("FUZZ_SECONDS", "15"))
SEED = int(os.environ.get("FUZZ_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
STALL_SECONDS = 0.05
MIB = 1024 * 1024

METHODS = [
    "GET",
    "POST",
    "PUT",
    "HEAD",
    "OPTIONS",
    "DELETE",
    "PATCH",
    "TRACE",
    "CONNECT",
    "get",
    "X",
]
PATHS = ["/stream/", "/stream", "/", "/health/", "/token/", "/publish/demo_stream/", "/presence/a/"]
PATHS += ["/channels/", "/channels", "/history/demo_stream/", "/history/room.1/", "/history/%00/"]
PATHS += [
    "/nothing/",
    "//",
    "*",
    "http://127.0.0.1/stream/",
    "/static/relay/app.js",
    "/%00",
    "/a" * 4000,
]
QUERIES = [
    "",
    "?channel=demo_stream",
    "?since=10m",
    "?since=2024-" + "T+" * 4000,
    "?" + "a=&" * 4000,
]
QUERIES += ["?channel=" + "a" * 9000, "?rewind=999999999", "?last_event_id=" + "1-" * 3000]
QUERIES += ["?" + "&".join(f"channel=c{n}" for n in range(900)), "?token=" + "a." * 4000, "?%ff=%"]
QUERIES += ["?q=" + "%C3%9F" * 200, "?q=" + "a" * 9000, "?q=%00", "?q=room.1"]
QUERIES += ["?before=" + "1-" * 4000, "?before=1-1&limit=500", "?limit=" + "9" * 9000]
QUERIES += ["?latest=" + "9" * 5000, "?last_event_id=" + "a%3D1-1%26" * 1000]
TYPES = ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain"]
TYPES += [
    "application/json",
    "application/x-ndjson",
    "a/b;" + "c;" * 5000,
    "multipart/form-data",
    "",
]
FIELDS = ["Accept: " + "a/b;q=0.1," * 1200, "Accept: text/event-stream;" + ";a=b" * 3000]
FIELDS += ["Cookie: " + "a=b; " * 2500, "Authorization: Bearer " + "a." * 6000, "X: a\r\n b"]
FIELDS += ["Origin: http://" + "a." * 5000, "X-Forwarded-For: " + "1.2.3.4," * 1500, "Host: b"]
FIELDS += [
    "Accept-Language: " + "de;q=0.1," * 1500,
    "Last-Event-ID: " + "1-" * 5000,
    "Expect: 100-continue",
]
FIELDS += ["Daphne-Root-Path: /x", "Transfer-Encoding: chunked", "Range: bytes=" + "0-1," * 3000]
FIELDS += [
    "If-Modified-Since: " + "1" * 9000,
    "Upgrade: websocket",
    "Connection: upgrade",
    "\x00: a",
]
FIELDS += ["If-None-Match: " + '"a",' * 3000, "Content-Length: 9", "Idempotency-Key: " + "k" * 9000]
PIECES = [
    b"a=&",
    b"a&;",
    b"--b\r\n\r\n",
    b"x",
    b"1\r\na\r\n",
    b"\r\n",
    b"GET / HTTP/1.1\r\n",
    b"[[",
    b"\x00",
]


def one_request(dice: random.Random) -> bytes:
    fields = [dice.choice(FIELDS) for _ in range(dice.choice([0, 0, 1, 2, 5]))]
    size = dice.choice([0, 0, 1, 1000, 70_000, 500_000, 4 * MIB, 16 * MIB])
    piece = dice.choice(PIECES)
    body = (piece * (size // len(piece) + 1))[:size]
    if size:
        fields += [f"Content-Type: {dice.choice(TYPES)}", f"Content-Length: {size}"]
    if dice.random() < 0.9:
        fields.append("Host: 127.0.0.1")
    version = dice.choice(["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/9"])
    first = f"{dice.choice(METHODS)} {dice.choice(PATHS)}{dice.choice(QUERIES)} {version}"
    text = "\r\n".join([first, *fields, "", ""]).encode("latin-1") + body
    if dice.random() < 0.1:
        place = dice.randrange(min(len(text), 2000))
        text = text[:place] + bytes([dice.randrange(256)]) + text[place + 1 :]
    return text


def send_in_pieces(url: str, text: bytes, dice: random.Random) -> None:
    """Sends what the server takes, and drops what it answers."""
    size = dice.choice([1, 100, 8000, 100_000, 1 << 20, 1 << 25])
    with contextlib.suppress(OSError), raw_request(url, b"", 0.05) as connection:
        for n, place in enumerate(range(0, len(text), size)):
            connection.sendall(text[place : place + size])
            if n > 300:
                break
        connection.recv(65536)


def stall_by(url: str, text: bytes, dice: random.Random) -> float:
    with longest_wait(url) as wait:
        send_in_pieces(url, text, dice)
    return wait.seconds


@pytest.mark.parametrize("name", ["serve", "daphne"])
def test_nothing_that_is_sent_holds_the_event_loop(start_hub: StartHub, name: str) -> None:
    command = ["-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", "{port}", "hub.asgi:application"]
    hub: HubProcess = start_hub(
        command=command if name == "daphne" else None,
        RELAY_HTTP_PUBLISH=1,
        RELAY_CHANNELS="orders.*=signed-in room.{n}",
        RELAY_TOKEN_KEY="k" * 32,
    )
    print(f"FUZZ_SEED={SEED}")  # noqa: T201
    dice = random.Random(SEED)
    assert hub.process is not None
    process = psutil.Process(hub.process.pid)
    ask(hub.url, "/health/")
    before = process.memory_info().rss
    worst, cause, number = 0.0, b"", 0
    deadline = time.monotonic() + SECONDS / 2
    while time.monotonic() < deadline:
        number += 1
        text = b"".join(one_request(dice) for _ in range(dice.choice([1, 1, 1, 3])))
        seconds = stall_by(hub.url, text, dice)
        if seconds > worst:  # a machine that is busy with other things does not stall three times
            seconds = min(seconds, *(stall_by(hub.url, text, dice) for _ in range(2)))
        if seconds > worst:
            worst, cause = seconds, text
    print(f"{number} inputs, longest stall {worst * 1000:.0f} ms by {cause[:300]!r}")  # noqa: T201
    assert worst < at_most(STALL_SECONDS), (SEED, number, cause[:2000])
    assert process.memory_info().rss - before < 96 * MIB
    assert ask(hub.url, "/health/").status == 200
    assert "Traceback" not in hub.log()
