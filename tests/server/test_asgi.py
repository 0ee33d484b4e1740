"""relay.asgi: one application for everything, under any ASGI server and inside others' routers."""

import http.client
import json
import signal
import sys
from collections.abc import Callable, Iterator

import pytest

from relay.server.embedded_redis import accepts_connections
from tests.support.client import Stream, ask_and_go_on
from tests.support.servers import HubProcess, RedisServer, StartHub

SERVERS = {
    "daphne": ["-m", "daphne", "-b", "127.0.0.1", "-p", "{port}"],
    "uvicorn": ["-m", "uvicorn", "--port", "{port}"],
    "hypercorn": ["-m", "hypercorn", "--graceful-timeout", "1", "--bind", "127.0.0.1:{port}"],
    "granian": ["-m", "granian", "--interface", "asgi", "--port", "{port}"],
}
APPLICATIONS = ["plain", "by_type", "by_path", "by_type_and_path", "behind_middleware"]

CUT = {("daphne", "behind_middleware"), *(("hypercorn", name) for name in APPLICATIONS)}
"""Daphne cancels applications at once, and only what is not wrapped is faster. The workers of hypercorn
get no signal; it cancels what still runs after its graceful timeout."""


WAITS = {"hypercorn"} if sys.version_info >= (3, 12) else set()
"""What does not end while a client has its connection open (docs/django.md)."""


class Unasked(HubProcess):
    """A process that has had no request when the test begins."""

    def _ready(self) -> bool:
        return accepts_connections(self.port)


class Below(HubProcess):
    """A site below /shop; `proxied` is what a proxy in front leaves of that."""

    proxied = "/shop"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.proxied}"


class Stripped(Below):
    proxied = ""


@pytest.fixture
def keep() -> Iterator[Callable[[HubProcess], HubProcess]]:
    """Ends a process with the test."""
    kept: list[HubProcess] = []

    def keep(hub: HubProcess) -> HubProcess:
        kept.append(hub)
        return hub

    yield keep
    for hub in kept:
        hub.close()


Keep = Callable[[HubProcess], HubProcess]


def command(server: str, *words: str, name: str = "plain") -> list[str]:
    pytest.importorskip(server)
    return [*SERVERS[server], *words, f"tests.support.wrapped:{name}"]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("name", APPLICATIONS)
def test_it_streams_and_ends_with_sigterm(
    start_hub: StartHub, redis_server: RedisServer, server: str, name: str
) -> None:
    hub = start_hub(command=command(server, name=name))
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        redis_server.publish("live")
        event = stream.event()
        assert (event.event, event.data) == ("message", "live")
        assert ask_and_go_on(hub.url, "/nothing/").status == 404
        assert hub.process is not None
        hub.process.send_signal(signal.SIGTERM)
        told = [line for line in _rest(stream) if line.startswith(b"retry: ")]
        assert told or (server, name) in CUT
        if server not in WAITS:
            hub.process.wait(10)
    hub.process.wait(10)
    assert "Traceback" not in hub.log() or server == "hypercorn"  # its own, for a cancelled read


@pytest.mark.parametrize("server", SERVERS)
def test_a_hub_that_starts_with_its_first_request_tells_no_false_gap(
    keep: Keep, redis_server: RedisServer, server: str
) -> None:
    hub = keep(Unasked(redis_server.url, command(server, name="by_type")))
    with Stream(hub.url) as stream:
        hub.wait_for_redis("live")
        redis_server.publish("first")
        assert stream.event().data == "first"


def test_what_was_published_is_in_the_history_after_an_end_without_lifespan(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(command=command("uvicorn", name="by_type"))
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        redis_server.publish("one")
        first = stream.event().id
        redis_server.publish("two")
        assert stream.event().data == "two"
        assert hub.process is not None
        hub.process.send_signal(signal.SIGTERM)
        hub.process.wait(10)
    hub.start()
    with Stream(hub.url, last_id=first) as stream:
        assert stream.event().data == "two"


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn", "granian"])
def test_a_site_with_a_lifespan_of_its_own_has_it(start_hub: StartHub, server: str) -> None:
    hub = start_hub(command=command(server, name="with_lifespan"))
    assert ask_and_go_on(hub.url, "/lived/").body == b"lifespan.startup"
    hub.stop()
    assert "lifespan.shutdown" in hub.log()
    assert "Traceback" not in hub.log()


def test_without_a_site_everything_else_is_404(keep: Keep, redis_server: RedisServer) -> None:
    hub = keep(Unasked(redis_server.url, command("uvicorn", name="alone")))
    with Stream(hub.url) as stream:
        assert stream.line().startswith(b"retry: ")
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=10)
    connection.request("GET", "/token/")
    response = connection.getresponse()
    assert response.status == 404
    assert json.load(response)["detail"].startswith("This process serves live streams.")
    connection.close()


@pytest.mark.parametrize(
    ("server", "words", "kind"),
    [
        ("daphne", ["--root-path", "/shop"], Below),
        ("uvicorn", ["--root-path", "/shop"], Stripped),
        ("hypercorn", ["--root-path", "/shop"], Below),
        ("granian", ["--url-path-prefix", "/shop"], Below),
    ],
)
@pytest.mark.parametrize("name", ["plain", "by_path"])
def test_a_site_below_a_path_has_its_streams_there(
    keep: Keep,
    redis_server: RedisServer,
    server: str,
    words: list[str],
    kind: type[Below],
    name: str,
) -> None:
    hub = keep(kind(redis_server.url, command(server, *words, name=name)))
    streams_at(hub, redis_server, f"{kind.proxied}/stream/")
    assert 'data-stream="/shop/stream/"' in page(hub, f"{kind.proxied}/")
    if name == "by_path":
        return  # the router of Channels itself raises for what is outside
    for outside in ("/other/", "/other", "/shopping/stream/"):
        assert page(hub, outside).startswith("404"), outside
    assert "Traceback" not in hub.log()


def test_the_path_of_streams_and_the_script_name_are_settings(
    keep: Keep, redis_server: RedisServer
) -> None:
    env = {"DJANGO_SETTINGS_MODULE": "tests.support.below_settings"}
    hub = keep(Below(redis_server.url, None, **env))
    streams_at(hub, redis_server, "/shop/live/stream/")
    streams_at(hub, redis_server, "/shop/live/stream")
    assert 'data-stream="/shop/live/stream/"' in page(hub, "/shop/")
    assert "/shop/static/relay/app.js" in page(hub, "/shop/")
    assert "404" in page(hub, "/shop/stream/")


def streams_at(hub: HubProcess, redis_server: RedisServer, path: str) -> None:
    hub.wait_for_streams(0)
    with Stream(hub.url, path) as stream:
        hub.wait_for_streams(1)
        redis_server.publish("below")
        assert stream.event().data == "below"


def page(hub: HubProcess, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=10)
    connection.request("GET", path)
    response = connection.getresponse()
    text = f"{response.status} {response.read().decode()}"
    connection.close()
    return text


def _rest(stream: Stream) -> list[bytes]:
    lines = []
    try:
        while True:
            lines.append(stream.line())
    except (EOFError, http.client.HTTPException, OSError):
        return lines
