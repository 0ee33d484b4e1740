"""`/livez` and `/readyz` say yes or no to whoever asks."""

import signal
from dataclasses import replace

import pytest

from relay import conf
from relay.broker.broker import Broker
from relay.clock import LoopClock
from relay.engine.hub import Hub
from relay.http.probes import answer_probe
from tests.support.client import Stream, raw_request
from tests.support.servers import COMMANDS, HubProcess, RedisServer, StartHub
from tests.support.waiting import until, wait_until

pytestmark = pytest.mark.slow


def ask(hub: HubProcess, path: str, method: str = "GET", host: str = "10.1.2.3:8000") -> bytes:
    """The whole answer to a probe that asks for this Host."""
    request = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    with raw_request(hub.url, request.encode()) as connection:
        answer = b""
        while data := connection.recv(4096):
            answer += data
    return answer


def says(hub: HubProcess, path: str) -> tuple[int, bytes]:
    head, _, body = ask(hub, path).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@pytest.mark.parametrize("server", ["serve", "daphne", "uvicorn"])
def test_it_lives_without_redis_and_is_not_ready(
    start_hub: StartHub, redis_server: RedisServer, server: str
) -> None:
    hub = start_hub(command=COMMANDS[server])
    assert says(hub, "/livez") == says(hub, "/readyz") == (200, b"yes\n")
    redis_server.signal(signal.SIGSTOP)
    try:
        wait_until(lambda: says(hub, "/readyz") == (503, b"no\n"), "it is not ready")
        assert says(hub, "/livez") == (200, b"yes\n")
    finally:
        redis_server.signal(signal.SIGCONT)
    wait_until(lambda: says(hub, "/readyz") == (200, b"yes\n"), "it is ready again")


def test_whatever_host_is_asked_for_it_tells_nothing_else(hub: HubProcess) -> None:
    for path in ("/livez", "/readyz"):
        head, _, body = ask(hub, path).partition(b"\r\n\r\n")
        names = {line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]}
        assert names <= {
            *(b"content-type", b"cache-control", b"content-length", b"connection", b"date"),
        }
        assert body == b"yes\n"
    assert ask(hub, "/readyz", "HEAD").endswith(b"\r\n\r\n")
    assert b" 405 " in ask(hub, "/readyz", "POST").split(b"\r\n")[0]
    assert b" 400 " in ask(hub, "/health/").split(b"\r\n")[0]


def test_a_full_process_is_not_ready(start_hub: StartHub) -> None:
    hub = start_hub(RELAY_MAX_STREAMS="1")
    with Stream(hub.url):
        wait_until(lambda: says(hub, "/readyz") == (503, b"no\n"), "it is full")
        assert says(hub, "/livez") == (200, b"yes\n")
    wait_until(lambda: says(hub, "/readyz") == (200, b"yes\n"), "there is room")


async def test_a_process_that_stops_is_not_ready(redis_server: RedisServer) -> None:
    hub = Hub(
        replace(conf.load(), redis_url=redis_server.url), Broker(redis_server.url), LoopClock()
    )
    hub.start()
    await until(lambda: hub.live)
    assert (await answer_probe("/readyz", "GET", hub)).status == 200
    await hub.drain()
    assert (await answer_probe("/readyz", "GET", hub)).status == 503
    assert (await answer_probe("/livez", "GET", hub)).status == 200
    await hub.stop()


def test_a_site_below_a_path_has_them_there(start_hub: StartHub) -> None:
    hub = start_hub(command=[*COMMANDS["uvicorn"], "--root-path", "/live"])
    assert says(hub, "/readyz") == (200, b"yes\n")
