"""What a client may send: heads, targets and bodies, each refused or read within its bounds."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.client import Stream, ask, ask_and_go_on, raw_request
from tests.support.latency import longest_wait
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.waiting import at_most, wait_until

DAPHNE = ["-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", "{port}", "hub.asgi:application"]
MIB = 1024 * 1024


@pytest.fixture(scope="module", params=["serve", "daphne"])
def served(request: pytest.FixtureRequest, redis_of_module: RedisServer) -> Iterator[HubProcess]:
    """Both ways to serve with Daphne: what is refused here is refused by either."""
    command = DAPHNE if request.param == "daphne" else None
    hub = HubProcess(redis_of_module.url, command, RELAY_HTTP_PUBLISH=1)
    yield hub
    hub.close()


def exchange(hub: HubProcess, text: bytes, seconds: float = 10) -> bytes:
    """Everything that comes back until the server closes, or a stream has begun."""
    answer = b""
    with raw_request(hub.url, text, seconds) as connection, contextlib.suppress(ConnectionError):
        while received := connection.recv(65536):
            answer += received
            if b"retry:" in answer:
                break
    return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def head(*lines: str, host: str | None = "127.0.0.1") -> bytes:
    first, *rest = lines
    fields = [*([f"Host: {host}"] if host else []), "Connection: close", *rest]
    return "\r\n".join([first, *fields, "", ""]).encode("latin-1")


REFUSED = {
    "a folded field": (head("GET /health/ HTTP/1.1", "X: a", " b"), 400),
    "a folded coding": (
        head("POST / HTTP/1.1", "Transfer-Encoding:", " chunked") + b"0\r\n\r\n",
        400,
    ),
    "a fold without a field": (b"GET / HTTP/1.1\r\n Host: 127.0.0.1\r\n\r\n", 400),
    "no Host": (head("GET /stream/ HTTP/1.1", host=None), 400),
    "two Hosts": (head("GET /stream/ HTTP/1.1", "Host: 127.0.0.1"), 400),
    "two Hosts on HTTP/1.0": (head("GET /stream/ HTTP/1.0", "Host: 127.0.0.1"), 400),
    "two lengths": (head("POST / HTTP/1.1", "Content-Length: 1", "Content-Length: 2") + b"ab", 400),
    "a length and a coding": (
        head("POST / HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        400,
    ),
    "a length of 5,000 digits": (head("POST / HTTP/1.1", f"Content-Length: {'9' * 5000}"), 400),
    "a length with a sign": (head("POST / HTTP/1.1", "Content-Length: +5") + b"abcde", 400),
    "another coding": (head("POST / HTTP/1.1", "Transfer-Encoding: gzip"), 400),
    "no coding": (head("POST / HTTP/1.1", "Transfer-Encoding: identity"), 400),
    "a coding on HTTP/1.0": (head("POST / HTTP/1.0", "Transfer-Encoding: chunked"), 400),
    "a bad chunk": (head("POST / HTTP/1.1", "Transfer-Encoding: chunked") + b"x\r\n", 400),
    "a space before the colon": (head("GET / HTTP/1.1", "X : a"), 400),
    "a control character": (head("GET / HTTP/1.1", "X: a\x0bb"), 400),
    "a name of 300 bytes": (head("GET / HTTP/1.1", f"{'x' * 300}: a"), 400),
    "a large head": (head("GET / HTTP/1.1", *[f"X: {'a' * 1000}"] * 20), 431),
    "a large line": (head(f"GET /{'a' * 20_000} HTTP/1.1"), 431),
    "the target of a proxy": (head("CONNECT 127.0.0.1:80 HTTP/1.1"), 400),
    "a target that is no path": (head("GET stream/ HTTP/1.1"), 400),
    "another scheme": (head("GET ftp://127.0.0.1/stream/ HTTP/1.1"), 400),
    "a large body": (head("POST /stream/ HTTP/1.1", "Content-Length: 70000"), 413),
    "a large body of a GET": (head("GET /stream/ HTTP/1.1", "Content-Length: 70000"), 413),
    "a large body for a token": (head("POST /token/ HTTP/1.1", "Content-Length: 70000"), 413),
    "a large body for presence": (head("POST /presence/a/ HTTP/1.1", "Content-Length: 70000"), 413),
    "a large body for pages": (head("POST /history/a/ HTTP/1.1", "Content-Length: 70000"), 413),
    "a body too large to publish": (
        head("POST /publish/demo_stream/ HTTP/1.1", "Content-Length: 9000000"),
        413,
    ),
    "a body that waits to be wanted": (
        head("POST /stream/ HTTP/1.1", "Content-Length: 70000", "Expect: 100-continue"),
        413,
    ),
    "a large body in chunks": (
        head("POST /stream/ HTTP/1.1", "Transfer-Encoding: chunked")
        + b"10000\r\n%b\r\n" % (b"x" * 65536) * 2,
        413,
    ),
}


@pytest.mark.parametrize(("text", "expected"), REFUSED.values(), ids=REFUSED)
def test_what_no_request_may_be_is_refused_completely(
    served: HubProcess, text: bytes, expected: int
) -> None:
    answer = exchange(served, text)
    assert status(answer) == expected
    assert b"application/problem+json" in answer.lower()
    assert b"100 Continue" not in answer


ACCEPTED = {
    "HTTP/1.0 without a Host": head("GET /stream/ HTTP/1.0", host=None),
    "the absolute form": head("GET http://127.0.0.1/stream/ HTTP/1.1", host="127.0.0.1"),
    "the absolute form, whose host counts": head(
        "GET http://127.0.0.1:80/stream/?channel=demo_stream HTTP/1.1", host="not.served.example"
    ),
    "a root path of the client": head("GET /stream/ HTTP/1.1", "Daphne-Root-Path: /x"),
    "a body that nobody wants": head("GET /stream/ HTTP/1.1", "Content-Length: 5") + b"hello",
}


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED)
def test_what_a_request_may_be_gets_a_stream(served: HubProcess, text: bytes) -> None:
    assert b"retry:" in exchange(served, text)


def test_a_root_path_of_the_client_is_not_obeyed(served: HubProcess) -> None:
    assert status(exchange(served, head("GET /a/stream/ HTTP/1.1", "Daphne-Root-Path: /a"))) == 404
    assert status(exchange(served, head("GET / HTTP/1.1", "Daphne-Root-Path: /x"))) == 200


def test_a_host_in_the_target_that_is_not_served_is_refused(served: HubProcess) -> None:
    answer = exchange(served, head("GET http://evil.example/stream/ HTTP/1.1"))
    assert status(answer) == 400


def test_a_body_that_waits_is_asked_for_only_where_it_is_wanted(served: HubProcess) -> None:
    fields = ["Content-Length: 5", "Expect: 100-continue", "Content-Type: text/plain"]
    text = head("POST /publish/demo_stream/ HTTP/1.1", *fields)
    with raw_request(served.url, text) as connection:
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hello")
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_a_small_body_keeps_the_connection(served: HubProcess) -> None:
    assert ask_and_go_on(served.url, method="POST", body=b"x" * 60_000).status == 405


def test_a_refused_body_is_read_as_far_as_the_client_needs_to_see_the_answer(
    served: HubProcess,
) -> None:
    assert ask(served.url, "/stream/", "POST", b"x" * 4 * MIB).status == 413


FORM = "application/x-www-form-urlencoded"
BODIES = {
    "a form": (FORM, b"a=&" * (16 * MIB // 3)),
    "a form of names": (FORM, b"a&" * (8 * MIB)),
    "tiny parts": ("multipart/form-data; boundary=b", b"--b\r\n\r\n" * (16 * MIB // 7)),
    "plain text": ("text/plain", b"x" * (16 * MIB)),
    "a long type": ("a/b;" + "c;" * 7000, b"x"),
}


@pytest.mark.parametrize("path", ["/stream/", "/", "/token/", "/publish/demo_stream/"])
@pytest.mark.parametrize(("kind", "body"), BODIES.values(), ids=BODIES)
def test_no_body_holds_the_event_loop_or_stays_in_memory(
    served: HubProcess, path: str, kind: str, body: bytes
) -> None:
    assert served.process is not None
    memory = psutil.Process(served.process.pid).memory_info
    before = memory().rss
    text = head(f"POST {path} HTTP/1.1", f"Content-Type: {kind}", f"Content-Length: {len(body)}")
    with contextlib.suppress(ConnectionError):
        assert status(exchange(served, text + body)) in {400, 401, 403, 405, 413}
    peak = memory().rss
    assert stall_by(served, text + body) < at_most(0.05)
    assert peak - before < 24 * MIB


def test_chunks_of_one_byte_do_not_hold_the_event_loop(served: HubProcess) -> None:
    text = head("POST /publish/demo_stream/ HTTP/1.1", "Transfer-Encoding: chunked")
    text += b"1\r\na\r\n" * 200_000 + b"0\r\n\r\n"
    assert status(exchange(served, text)) == 401
    assert stall_by(served, text) < at_most(0.05)


def stall_by(hub: HubProcess, text: bytes) -> float:
    """The stall that recurs, beside what other programs cause in as much time without it."""
    waits = []
    for _ in range(8):
        begin = time.monotonic()
        with longest_wait(hub.url) as wait, contextlib.suppress(ConnectionError):
            exchange(hub, text)
        waits.append(wait.seconds)
        if wait.seconds < at_most(0.05):
            break
        took = time.monotonic() - begin
        with longest_wait(hub.url) as usual:
            time.sleep(took)
        waits.append(wait.seconds - usual.seconds)
    return min(waits)


def test_large_bodies_have_a_bound_together(served: HubProcess) -> None:
    text = head("POST /publish/demo_stream/ HTTP/1.1", "Content-Length: 8000000")
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(raw_request(served.url, text)) for _ in range(8)]
        answers: list[bytes] = []
        while not answers:
            connection = stack.enter_context(raw_request(served.url, text, 0.3))
            with contextlib.suppress(TimeoutError):
                answers.append(connection.recv(65536))
            assert len(held) < 12
            held.append(connection)
        assert answers[0].startswith(b"HTTP/1.1 503 ")
        small = ask(served.url, "/publish/demo_stream/", "POST", b"hello")
        assert small.status == 401  # a small body always finds room
    wait_until(lambda: exchange_one_large(served) == b"", "what was held has been given back", 5)


def exchange_one_large(hub: HubProcess) -> bytes:
    text = head("POST /publish/demo_stream/ HTTP/1.1", "Content-Length: 8000000")
    with raw_request(hub.url, text, 0.2) as connection, contextlib.suppress(TimeoutError):
        return connection.recv(65536)
    return b""


def test_a_body_leaves_no_file(served: HubProcess) -> None:
    assert served.process is not None
    files = Path(f"/proc/{served.process.pid}/fd")
    text = head("POST /publish/demo_stream/ HTTP/1.1", "Content-Length: 2000000")
    with raw_request(served.url, text + b"x" * 1_000_000):
        time.sleep(0.2)
        assert not [f for f in files.iterdir() if "(deleted)" in str(f.readlink())]


def test_a_published_body_of_many_pieces_arrives_whole(
    served: HubProcess, redis_of_module: RedisServer
) -> None:
    with Stream(served.url) as stream:
        redis_of_module.publish(b"x" * 300_000)
        assert stream.event().data == "x" * 300_000


def test_pipelined_requests_are_answered_in_order(served: HubProcess) -> None:
    one = b"HEAD /stream/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    answer = exchange(served, one * 50 + head("GET /stream/?channel=none HTTP/1.1"))
    assert answer.count(b"HTTP/1.1 200 ") == 50
    assert answer.count(b"HTTP/1.1 404 ") == 1


@pytest.mark.long
def test_a_head_that_comes_slowly_is_refused_in_the_end(served: HubProcess) -> None:
    """Each byte used to give it another minute."""
    silent = socket.create_connection(("127.0.0.1", served.port), 60)
    begin = time.monotonic()
    with raw_request(served.url, b"GET /stream/ HTTP/1.1\r\nX: ", 60) as connection:
        stop = threading.Event()

        def drip() -> None:
            with contextlib.suppress(OSError):
                while not stop.wait(2):
                    connection.sendall(b"a")

        thread = threading.Thread(target=drip)
        thread.start()
        answer = connection.recv(65536)
        stop.set()
        thread.join()
    assert status(answer) == 408
    assert 25 < time.monotonic() - begin < at_most(35)
    assert silent.recv(1) == b""
    silent.close()


def test_many_opens_leave_nothing_behind(start_hub: StartHub) -> None:
    """Records of requests that are over used to be looked for, and not found at this rate."""
    hub = start_hub()
    assert hub.process is not None
    tasks = hub.health()["tasks"]
    for _ in range(1500):
        exchange(hub, head("GET /stream/ HTTP/1.1"))
    wait_until(lambda: hub.health()["tasks"] <= tasks + 2, "every task has ended", 5)
