"""The address of a client, also behind proxies, and limits by it."""

from dataclasses import replace

import pytest

from relay import conf
from relay.conf.proxies import client_address, parse_networks
from relay.http import admission
from relay.http.request import StreamRequest
from tests.support.client import raw_request, read_until
from tests.support.servers import StartHub
from tests.support.site import Site


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        ("9.9.9.9", "1.2.3.4", "9.9.9.9"),
        ("10.0.0.1", "evil\r\nx, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "::1, fd00::5", "fd00::/64"),
        ("::ffff:10.0.0.1", "::ffff:1.2.3.4,10.0.0.2", "1.2.3.4"),
        ("2001:db8:0:1:2::3", "", "2001:db8:0:1::/64"),
        ("", "1.2.3.4", ""),
    ],
)
def test_only_trusted_proxies_name_the_client(peer: str, forwarded_for: str, address: str) -> None:
    assert client_address(peer, forwarded_for, parse_networks(["10.0.0.0/8"])) == address


def test_every_line_of_a_header_of_proxies_counts() -> None:
    networks = parse_networks(["10.0.0.0/8"])
    settings = replace(conf.load(), max_streams_per_address=1, trusted_proxies=networks)
    lines = [(b"x-forwarded-for", b"6.6.6.6, 1.2.3.4"), (b"x-forwarded-for", b"10.0.0.2")]
    scope = {"method": "GET", "client": ("10.0.0.1", 5), "headers": lines}
    assert admission._address(StreamRequest.of(scope), settings) == "1.2.3.4"


def test_streams_per_user_and_per_address_are_limited(start_hub: StartHub, site: Site) -> None:
    hub = start_hub(
        **site.env,
        RELAY_MAX_STREAMS_PER_USER=2,
        RELAY_MAX_STREAMS_PER_ADDRESS=3,
        RELAY_TRUSTED_PROXIES="127.0.0.1",
    )
    ann, bob = site.people["ann"], site.people["bob"]

    def opened(cookie: str, forwarded_for: str, accept: str = "text/event-stream") -> bytes:
        request = (
            f"GET /stream/?channel=orders.1 HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n"
            f"X-Forwarded-For: {forwarded_for}\r\nAccept: {accept}\r\n\r\n"
        )
        connection = raw_request(hub.url, request.encode())
        connections.append(connection)
        return read_until(connection, b"retry: " if accept != "*/*" else b"\r\n\r\n")

    connections: list[object] = []
    try:
        for n in (1, 2):
            opened(ann.cookie, "1.1.1.1")
            hub.wait_for_streams(n)
        opened(ann.cookie, "2.2.2.2")
        assert b" 503 " in opened(ann.cookie, "2.2.2.2", "*/*")
        hub.wait_for_streams(2)
        opened(bob.cookie, "1.1.1.1")
        hub.wait_for_streams(3)
        opened(bob.cookie, "1.1.1.1")  # the fourth of this address
        opened(bob.cookie, "6.6.6.6, 1.1.1.1")  # what the client itself wrote does not help
        assert hub.health()["streams_open"] == 3
        opened(bob.cookie, "1.1.1.1, 3.3.3.3")
        hub.wait_for_streams(4)
    finally:
        for connection in connections:
            connection.close()  # type: ignore[attr-defined]
    hub.wait_for_streams(0)
