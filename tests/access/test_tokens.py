"""Tokens: which are good, where they may stand, how long they last, how a user gets one."""

import json
import time
from collections.abc import Callable

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pytest_django import Settings

from relay.access import tokens
from relay.conf.catalogue import Catalogue, Spec
from tests.support.client import Answer, Stream, ask
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.site import Site
from tests.support.tokens import TOKEN_KEY, bearer, token
from tests.support.waiting import wait_until, within

BAD_TOKENS: dict[str, Callable[[], str]] = {
    "another audience": lambda: token(aud="other"),
    "no audience": lambda: token(aud=None),
    "no expiry": lambda: token(exp=None),
    "no subject": lambda: token(sub=None),
    "an empty subject": lambda: token(sub=""),
    "no time of issue": lambda: token(iat=None),
    "issued in the future": lambda: token(iat=int(time.time()) + 3600),
    "not yet valid": lambda: token(nbf=int(time.time()) + 3600),
    "another key": lambda: jwt.encode({"sub": "x"}, "another key, also long enough 123", "HS256"),
    "alg none": lambda: jwt.encode({"sub": "x", "aud": "relay-hub"}, "", "none"),
    "expired a moment ago": lambda: token(exp=int(time.time()) - 2),
    "text as its expiry": lambda: token(exp=str(int(time.time()) + 60)),
    "junk": lambda: "junk",
    "three dots": lambda: "a.b.c",
    "too long": lambda: "x" * 12_000,
    "another algorithm": lambda: jwt.encode({"sub": "x"}, TOKEN_KEY * 2, "HS512"),
}


@pytest.mark.parametrize("kind", BAD_TOKENS)
@pytest.mark.parametrize("way", ["header", "query", "cookie"])
def test_a_token_that_is_not_valid_is_refused_and_never_repeated(
    served: HubProcess, kind: str, way: str
) -> None:
    text = BAD_TOKENS[kind]()
    if way == "header":
        found = ask(
            served.url, "/stream/?channel=orders.7", headers={"Authorization": f"Bearer {text}"}
        )
    elif way == "query":
        found = ask(served.url, f"/stream/?channel=orders.7&token={text}")
    else:
        found = ask(
            served.url, "/stream/?channel=orders.7", headers={"Cookie": f"relay_token={text}"}
        )
    assert found.status == 401, found
    assert found.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert text[:20] not in found.detail
    assert text[:20] not in served.log()


@pytest.mark.parametrize("way", ["header", "query", "cookie"])
def test_a_valid_token_works_each_way(served: HubProcess, way: str) -> None:
    text = token(channels=["orders.*"])
    headers = {
        "header": {"Authorization": f"bearer {text}"},
        "query": {},
        "cookie": {"Cookie": f"a=b; relay_token={text}"},
    }[way]
    path = f"/stream/?channel=orders.7&token={text if way == 'query' else ''}"
    status, told, _ = ask(served.url, path, headers=headers)
    assert (status, told["referrer-policy"]) == (200, "no-referrer")
    assert text not in served.log()


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_a_token_in_the_address_is_in_no_servers_log(
    start_hub: StartHub, site: Site, server: str
) -> None:
    command = {
        "daphne": ["-m", "daphne", "-p", "{port}", "hub.asgi:application"],
        "uvicorn": ["-m", "uvicorn", "--port", "{port}", "hub.asgi:application"],
    }
    hub = start_hub(command=command[server], **site.env)
    text = token()
    assert ask(hub.url, f"/stream/?channel=orders.7&token={text}").status == 200
    assert ask(hub.url, f"/stream/?token={text}x&channel=orders.7").status == 401
    wait_until(lambda: "token=-&channel=orders.7" in hub.log(), "the request is logged")
    hub.wait_for_streams(0)
    assert text not in hub.log()


def test_rs256_tokens_by_a_key_set(start_hub: StartHub, redis_server: RedisServer) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key()))
    keys = json.dumps({"keys": [{**jwk, "kid": "k1", "alg": "RS256", "use": "sig"}]})
    hub = start_hub(RELAY_TOKEN_JWKS=keys, RELAY_CHANNELS="x=signed-in")
    now = int(time.time())
    claims = {"sub": "u", "aud": "relay-hub", "iat": now, "exp": now + 60, "channels": ["x"]}
    good = jwt.encode(claims, private, "RS256", headers={"kid": "k1"})
    assert ask(hub.url, f"/stream/?channel=x&token={good}").status == 200
    unknown = jwt.encode(claims, private, "RS256", headers={"kid": "k2"})
    assert ask(hub.url, f"/stream/?channel=x&token={unknown}").status == 401
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    confused = jwt.api_jws.PyJWS().encode(
        json.dumps(claims).encode(), TOKEN_KEY, "HS256", headers={"kid": "k1"}
    )
    assert public
    assert ask(hub.url, f"/stream/?channel=x&token={confused}").status == 401


def test_a_stream_ends_when_its_token_does(
    start_hub: StartHub, redis_server: RedisServer, site: Site
) -> None:
    hub = start_hub(**site.env)
    text = token(exp=int(time.time()) + 2)
    with within(4), Stream(hub.url, f"/stream/?channel=orders.7&token={text}") as stream:
        assert list(stream.events()) == []  # and not one event
        assert stream.lines[-2].startswith(b"retry: ")
    hub.wait_for_streams(0)


def test_a_token_is_refused_from_its_end_on_but_may_be_issued_a_moment_ahead(
    settings: Settings,
) -> None:
    """A stream for a token that has ended would end at once, and its client come back for ever."""
    settings.RELAY_TOKEN_KEY = TOKEN_KEY
    now = int(time.time())
    for ended in (0, 1, tokens.LEEWAY_SECONDS - 1):
        with pytest.raises(tokens.TokenRefused, match="has expired"):
            tokens.decode(token(exp=now - ended))
    assert tokens.decode(token(iat=now + 3, nbf=now + 3))["sub"]


def test_a_signed_in_user_gets_a_token_for_what_that_user_may_see(
    site: Site, served: HubProcess
) -> None:
    ann = site.people["ann"]
    csrf = "x" * 32
    cookies = f"{ann.cookie}; csrftoken={csrf}"

    def post(form: str, cookie: str = cookies, **headers: str) -> Answer:
        sent = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie, **headers}
        return ask(served.url, "/token/", "POST", form, sent)

    token_header = {"X-CSRFToken": csrf}
    found = post(f"channel=user.{ann.pk}&channel=orders.1", **token_header)
    told = found.json()
    assert (found.status, told["expires_in"]) == (200, 300)
    assert told["channels"] == [f"user.{ann.pk}", "orders.1"]
    path = f"/stream/?channel=orders.1&channel=user.{ann.pk}&token={told['token']}"
    assert ask(served.url, path).status == 200
    assert ask(served.url, f"/stream/?channel=orders.2&token={told['token']}").status == 403
    assert post("channel=user.999", **token_header).status == 403
    assert post("channel=nothing", **token_header).status == 404
    found = post("channel=orders.1")  # cross-site: no CSRF token
    assert found.status == 403
    assert "CSRF" in found.json()["detail"]
    assert post("channel=orders.1", cookie=f"csrftoken={csrf}", **token_header).status == 401


def test_a_wildcard_in_a_token_is_no_key_to_a_channel_with_an_entry_of_its_own(
    start_hub: StartHub, site: Site
) -> None:
    channels = "room=perm:sessions.view_session room*=signed-in"
    hub = start_hub(**{**site.env, "RELAY_CHANNELS": channels})
    held = bearer(channels=["room*"])
    assert ask(hub.url, "/stream/?channel=rooms", headers=held).status == 200
    spec = Spec("room*", "signed-in", 1, 1, 1000, "signed-in")
    catalogue = Catalogue([spec, Spec("room", "signed-in", 1, 1, 1000)], "relay")
    for name, granted in {"room": False, "rooms": True, "room*": True}.items():
        found = catalogue.find(name)
        assert found is not None
        assert tokens.grants({"channels": ["room*"]}, "channels", found) is granted
