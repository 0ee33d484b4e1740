"""Settings that are text: origins, addresses, keys, and what is never shown of them."""

import base64
import json
from dataclasses import replace

import pytest

from relay import conf
from relay.conf import parsers
from relay.conf.origins import Origins
from relay.conf.proxies import client_address, parse_networks


@pytest.mark.parametrize(
    "origin",
    [
        "capacitor://localhost",
        "ionic://localhost",
        "chrome-extension://abcdefghijklmnop",
        "http://[::1]:3000",
        "http://my_app:3000",
        "tauri://localhost",
    ],
)
def test_an_origin_has_any_scheme_and_host(origin: str) -> None:
    assert Origins([origin]).allows(origin, "hub")
    assert not Origins([]).allows(origin, "hub")


@pytest.mark.parametrize(
    ("listed", "origin", "allowed"),
    [
        ("https://a.example:443", "https://a.example", True),
        ("http://b.example:80", "http://b.example", True),
        ("https://a.example", "https://a.example:443", True),
        ("https://a.example:80", "https://a.example", False),
        ("https://A.example", "https://a.example", True),
        ("http://[0:0::1]:3000", "http://[::1]:3000", True),
        ("https://*.example.com:443", "https://x.example.com", True),
    ],
)
def test_a_default_port_may_be_written_or_not(listed: str, origin: str, allowed: bool) -> None:
    assert Origins([listed]).allows(origin, "hub") is allowed


def test_the_own_origin_is_the_same_with_a_default_port() -> None:
    assert Origins([]).allows("https://hub", "hub:443")
    assert not Origins([]).allows("capacitor://hub", "hub")


@pytest.mark.parametrize(
    "entry", ["null", "*", "https://", "https://a/b", "https://a:0", "a.b", "https://[x]"]
)
def test_what_is_no_origin_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="no origin"):
        Origins([entry])


@pytest.mark.parametrize(
    ("forwarded_for", "address"),
    [
        ("203.0.113.7:51234", "203.0.113.7"),
        ("[2001:db8::1]:443", "2001:db8::/64"),
        ("[2001:db8::1]", "2001:db8::/64"),
        ("6.6.6.6:1, 203.0.113.8:40000", "203.0.113.8"),
        ("203.0.113.7:x", "127.0.0.1"),
    ],
)
def test_a_proxy_may_write_ports(forwarded_for: str, address: str) -> None:
    assert client_address("127.0.0.1", forwarded_for, parse_networks(["127.0.0.1"])) == address


def key(bits: int, **other: str) -> str:
    number = (1 << (bits - 1)) | 1
    n = base64.urlsafe_b64encode(number.to_bytes((bits + 7) // 8)).decode().rstrip("=")
    return json.dumps({"keys": [{"kty": "RSA", "kid": "k", "n": n, "e": "AQAB", **other}]})


def test_a_key_set_of_usable_keys_is_taken() -> None:
    assert parsers.jwks(key(2048))


@pytest.mark.parametrize(
    "text",
    [
        '{"keys":[{"kty":"RSA"}]}',
        key(1024),
        key(2047),
        key(2048, kid=""),
        key(2048, alg="RS512"),
        key(2048, use="enc"),
        key(2048, n="!!"),
        '{"keys":[]}',
    ],
)
def test_a_key_that_cannot_be_used_is_refused(text: str) -> None:
    with pytest.raises((ValueError, LookupError)):
        parsers.jwks(text)


def test_secrets_are_not_in_the_settings_as_they_are_printed() -> None:
    secret = replace(
        conf.load(),
        token_key="hunter2" * 5,
        redis_url="redis://:hunter2@h:1/0",
        token_jwks="hunter2",
    )
    assert "hunter2" not in repr(secret)
