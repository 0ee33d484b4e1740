"""Pages of other origins: which may read a stream, and what they are allowed."""

import pytest

from relay.conf.origins import Origins
from tests.support.client import ask, raw_request, read_until
from tests.support.servers import HubProcess
from tests.support.site import Site

ORIGINS = {
    "https://app.example.com": 200,
    "https://evil.example.com": 403,
    "http://app.example.com": 403,
    "https://app.example.com.evil.com": 403,
    "https://app.example.com:8443": 403,
    "null": 403,
    "": 403,
    "https://app.example.com\x01": 403,
}


@pytest.mark.parametrize("origin", ORIGINS)
def test_pages_of_other_origins_need_to_be_listed(served: HubProcess, origin: str) -> None:
    request = f"GET /stream/ HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\r\n".encode()
    with raw_request(served.url, request) as connection:
        head = read_until(connection, b"\r\n\r\n")
    assert f" {ORIGINS[origin]} ".encode() in head.splitlines()[0] or b" 400 " in head
    allowed = b"Access-Control-Allow-Origin: https://app.example.com\r\n" in head
    assert allowed is (ORIGINS[origin] == 200)
    if allowed:
        assert b"Access-Control-Allow-Credentials: true\r\n" in head
        assert b"Vary: Origin\r\n" in head


def test_a_preflight_is_answered(served: HubProcess) -> None:
    headers = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
    status, told, _ = ask(served.url, "/stream/", "OPTIONS", headers=headers)
    assert (status, told["access-control-allow-methods"]) == (204, "GET")
    assert "Authorization" in told["access-control-allow-headers"]
    assert (
        ask(served.url, "/stream/", "OPTIONS", headers={"Origin": "https://evil.example"}).status
        == 403
    )


def test_a_refusal_can_be_read_by_the_page_that_asked(served: HubProcess) -> None:
    headers = {"Origin": "https://app.example.com"}
    status, told, _ = ask(served.url, "/stream/?channel=orders.7", headers=headers)
    assert (status, told["access-control-allow-origin"]) == (401, "https://app.example.com")


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("https://a.example.com", "hub", True),
        ("https://b.a.example.com", "hub", True),
        ("https://example.com", "hub", False),
        ("https://evilexample.com", "hub", False),
        ("http://a.example.com", "hub", False),
        ("https://*.example.com", "hub", False),
        ("http://hub:8000", "hub:8000", True),
        ("http://hub:8000", "hub:9000", False),
        ("https://x.org:444", "hub", True),
        ("https://x.org", "hub", False),
        ("https://user@a.example.com", "hub", False),
        ("https://a.example.com/path", "hub", False),
    ],
)
def test_origins_are_exact_or_below_a_host(origin: str, host: str, allowed: bool) -> None:
    origins = Origins(["https://*.example.com", "https://x.org:444"])
    assert origins.allows(origin, host) is allowed


def test_a_page_of_another_site_gets_nothing_by_the_users_cookie(
    site: Site, served: HubProcess
) -> None:
    headers = {"Cookie": site.people["ann"].cookie, "Origin": "https://evil.example.com"}
    status, told, _ = ask(served.url, "/stream/?channel=orders.7", headers=headers)
    assert (status, "access-control-allow-origin" in told) == (403, False)
