"""deploy/nginx.conf in a real nginx: TLS, HTTP/2, two hubs, and what a browser sees while they restart."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.support.certificate import certificate
from tests.support.servers import ROOT, HubProcess, RedisServer, free_port
from tests.support.waiting import wait_until

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
pytestmark = pytest.mark.skipif(not Path(NGINX).exists(), reason="nginx is not installed")

MAIN = """
worker_processes 1;
daemon off;
pid nginx.pid;
error_log stderr warn;
events {}
http {
    access_log off;
    gzip on;  # as many a site has it
    gzip_types *;
    gzip_min_length 1;
    gzip_proxied any;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include hub.conf;
}
"""

OPEN = """url => {
    window.seen = [];
    window.source = new EventSource(url, {withCredentials: true});
    source.onmessage = event => seen.push(event.data);
    source.addEventListener("hub.gap", event => seen.push("gap " + JSON.parse(event.data).reason));
}"""


@dataclass
class Place:
    url: str
    hubs: list[HubProcess]
    redis: RedisServer

    def curl(self, path: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = ["curl", "-sk", "-i", "-m", "3", *options, self.url + path]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def stop(self) -> None:
        for hub in self.hubs:
            hub.stop()

    def start(self) -> None:
        for hub in self.hubs:
            hub.start()


@pytest.fixture
def place(
    tmp_path: Path, redis_server: RedisServer, request: pytest.FixtureRequest
) -> Iterator[Place]:
    hubs = [
        HubProcess(
            redis_server.url,
            RELAY_TRUSTED_PROXIES="127.0.0.1",
            RELAY_MAX_STREAMS_PER_ADDRESS=1,
            RELAY_RETRY_MS=300,
            SECURE_COOKIES=1,
        )
        for _ in range(2)
    ]
    request.node.hubs = hubs
    port = free_port()
    _write_configuration(tmp_path, port, hubs)
    with (tmp_path / "log").open("w") as log:
        nginx = subprocess.Popen([NGINX, "-p", str(tmp_path), "-c", "nginx.conf"], stderr=log)
    place = Place(f"https://127.0.0.1:{port}", hubs, redis_server)
    try:
        wait_until(lambda: "200" in place.curl("/health/").stdout[:20], "nginx answers")
        yield place
    finally:
        nginx.terminate()
        nginx.wait(10)
        for hub in hubs:
            hub.close()
    assert "[emerg]" not in (tmp_path / "log").read_text()


def _write_configuration(folder: Path, port: int, hubs: list[HubProcess]) -> None:
    """The file as it is, but for addresses and the certificate."""
    key, cert = certificate(folder)
    text = (ROOT / "deploy/nginx.conf").read_text()
    for theirs, ours in {
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{port} ssl http2;",
        "127.0.0.1:8000": f"127.0.0.1:{hubs[0].port}",
        "127.0.0.1:8001": f"127.0.0.1:{hubs[1].port}",
        "/etc/ssl/hub.example.org.pem": cert,
        "/etc/ssl/private/hub.example.org.key": key,
    }.items():
        assert text.count(theirs) == 1, theirs
        text = text.replace(theirs, ours)
    (folder / "hub.conf").write_text(text)
    (folder / "nginx.conf").write_text(MAIN)


@pytest.fixture
def page(browser: Browser, place: Place) -> Iterator[Page]:
    with browser.new_context(ignore_https_errors=True, bypass_csp=True) as context:
        page = context.new_page()
        page.goto(f"{place.url}/health/")  # a page without a stream of its own
        yield page


def seen(page: Page) -> Any:
    return page.evaluate("seen")


def open_streams(place: Place) -> int:
    return sum(hub.health()["streams_open"] for hub in place.hubs)


def test_a_browser_gets_each_event_at_once_over_http_2(place: Place) -> None:
    command = ["curl", "-skN", "--http2", "-i", f"{place.url}/stream/"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        assert curl.stdout is not None
        lines = iter(curl.stdout.readline, "")
        assert next(lines).startswith("HTTP/2 200")
        wait_until(lambda: open_streams(place) == 1, "the stream is open")
        place.redis.publish("at once")
        assert "data: at once\n" in lines  # reads no further than that
        curl.terminate()


@pytest.mark.parametrize("path", ["/stream/", "/stream"])
def test_a_stream_is_neither_compressed_nor_redirected(place: Place, path: str) -> None:
    answer = place.curl(path, "--compressed").stdout
    assert answer.startswith("HTTP/2 200")
    assert "content-type: text/event-stream" in answer
    assert "content-encoding" not in answer
    assert "\nretry: " in answer
    page = place.curl("/", "--compressed").stdout
    assert "content-encoding: gzip" in page  # the site's own pages are


def test_each_client_counts_by_its_own_address_whatever_it_claims(place: Place) -> None:
    stream = "/stream/?errors=stream"
    with subprocess.Popen(
        ["curl", "-skN", "--interface", "127.0.0.2", f"{place.url}/stream/"],
        stdout=subprocess.DEVNULL,
    ) as first:
        wait_until(lambda: open_streams(place) == 1, "the first is in")
        for hub in place.hubs[: 1 if place.hubs[1].health()["streams_open"] else 2]:
            hub.wait_for_streams(hub.health()["streams_open"])
        claims = ("--interface", "127.0.0.2", "-H", "X-Forwarded-For: 203.0.113.7")
        refused = [place.curl(stream, *claims).stdout for _ in range(4)]
        # The other process does not know the first stream, so every second request may get in.
        assert any("hub.error" in answer for answer in refused)
        others = [place.curl(stream, "--interface", "127.0.0.3").stdout for _ in range(2)]
        assert not any("hub.error" in answer for answer in others)
        first.terminate()


def test_an_event_source_survives_that_no_hub_runs(place: Place, page: Page) -> None:
    page.evaluate(OPEN, "/stream/")
    wait_until(lambda: open_streams(place) == 1, "the page has its stream")
    place.redis.publish("before")
    page.wait_for_function("seen.includes('before')")
    place.stop()
    page.wait_for_timeout(3000)
    assert page.evaluate("source.readyState") == 0  # it connects; 2 would be the end
    place.start()
    wait_until(lambda: open_streams(place) == 1, "it is back", 15)
    place.redis.publish("after")
    page.wait_for_function("seen.includes('after')")
    assert seen(page) == ["before", "gap unheard", "after"]


def test_a_rolling_restart_of_two_hubs_is_no_gap(place: Place, page: Page) -> None:
    page.evaluate(OPEN, "/stream/")
    wait_until(lambda: open_streams(place) == 1, "the page has its stream")
    number = 0
    for hub in place.hubs:
        hub.stop()
        for _ in range(50):
            place.redis.publish(str(number))
            number += 1
        hub.start()
        wait_until(lambda: open_streams(place) == 1, "the page is back")
    page.wait_for_function(f"seen.includes('{number - 1}')")
    assert seen(page) == [str(n) for n in range(number)]


def test_without_a_hub_only_a_stream_is_told_to_come_back(place: Place) -> None:
    place.stop()
    page = ("-H", "Accept: text/event-stream", "-H", "Origin: https://app.example.com")
    answer = place.curl("/stream/", *page).stdout
    head, _, body = answer.replace("\r\n", "\n").partition("\n\n")
    assert head.startswith("HTTP/2 200")
    assert "content-type: text/event-stream" in head
    assert "access-control-allow-origin: https://app.example.com" in head
    assert body.startswith("retry: ")
    assert body.endswith("\n\n")
    for request in (("/stream/", "-H", "Accept: application/json"), ("/health/",), ("/",)):
        assert place.curl(*request).stdout.startswith("HTTP/2 502"), request


def test_a_token_is_had_through_it(place: Place) -> None:
    """POST /token/ with an Origin needs the Host as the browser wrote it, port and all."""
    csrf = "x" * 32
    fields = (f"Origin: {place.url}", f"Cookie: csrftoken={csrf}", f"X-CSRFToken: {csrf}")
    options = [word for field in fields for word in ("-H", field)]
    answer = place.curl("/token/", *options, "-d", "channel=demo_stream").stdout
    assert answer.startswith("HTTP/2 401")  # signed in nobody, but of the right origin
    assert '"status": 401' in answer
