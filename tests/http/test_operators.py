"""The operator's page: who is let in, by what, and what a request of it does."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import include, path
from pytest_django import Settings

from relay.access import operators
from relay.broker.keys import HubKeys
from relay.control.kick import Kick
from relay.control.operator_links import make_link
from relay.control.watch import Watch
from tests.support.publish_site import told
from tests.support.servers import RedisServer

KEYS = HubKeys("relay")


def sign_in(request: HttpRequest) -> HttpResponse:
    return HttpResponse("sign in here")


class WithSignIn:
    """The same URLs in a site that signs people in."""

    urlpatterns = [path("", include("relay.urls")), path("accounts/login/", sign_in)]


urlpatterns = [
    path("", include("relay.urls")),
    path("below/", include(("relay.urls", "relay"), "named")),
]

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def site(settings: Settings, redis_server: RedisServer) -> None:
    settings.REDIS_URL = redis_server.url
    settings.RELAY_OPERATOR_LINK = "1"


def person(name: str, *, operates: bool) -> User:
    user = User.objects.create_user(name)
    if operates:
        user.user_permissions.add(Permission.objects.get(codename="operate"))
    return user


def browser_of(user: User | None) -> Client:
    """A browser that checks for CSRF, and has a CSRF cookie."""
    client = Client(enforce_csrf_checks=True)
    if user is not None:
        client.force_login(user)
    client.cookies["csrftoken"] = "a" * 32
    return client


def kick(client: Client, fields: Any, **headers: str) -> Any:
    named = {"X-CSRFToken": "a" * 32, **{k.replace("_", "-"): v for k, v in headers.items()}}
    return client.post("/ops/kick/", fields, headers=named)


def kicks(redis_server: RedisServer) -> set[Kick | None]:
    with redis_server.client() as client:
        return {Kick.decode(entry) for entry in client.zrange(KEYS.kicks, 0, -1)}


# -- the page


def test_a_user_with_the_permission_gets_the_page() -> None:
    response = browser_of(person("ann", operates=True)).get("/ops/")
    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    assert response["X-Frame-Options"] == "DENY"
    page = response.content.decode()
    assert 'data-stream="/stream/" data-channel="relay:ops"' in page
    assert 'data-kick="/ops/kick/" data-find="/ops/find/"' in page
    assert 'name="csrfmiddlewaretoken"' in page


def test_the_page_stands_where_the_site_has_put_it() -> None:
    page = browser_of(person("ann", operates=True)).get("/below/ops").content.decode()
    assert 'data-kick="/below/ops/kick/"' in page


def test_a_user_without_the_permission_is_told_so() -> None:
    response = browser_of(person("bob", operates=False)).get("/ops/")
    assert response.status_code == 403
    assert "needs the permission <code>relay.operate</code>" in response.content.decode()


def test_nobody_is_led_to_the_sign_in_of_the_site(settings: Settings) -> None:
    settings.ROOT_URLCONF = WithSignIn
    response = Client().get("/ops/")
    assert (response.status_code, response["Location"]) == (302, "/accounts/login/?next=/ops/")


def test_nobody_is_led_to_a_sign_in_elsewhere(settings: Settings) -> None:
    settings.LOGIN_URL = "https://id.example.com/in"
    location = Client().get("/ops/")["Location"]
    assert location == "https://id.example.com/in?next=/ops/"


def test_without_a_sign_in_the_page_says_how_to_get_in(settings: Settings) -> None:
    response = Client().get("/ops/")
    assert response.status_code == 403
    assert "manage.py relay operator-link" in response.content.decode()
    settings.RELAY_OPERATOR_LINK = "0"
    assert "operator-link" not in Client().get("/ops/").content.decode()


def test_the_page_is_read_with_get() -> None:
    response = Client().post("/ops/")
    assert told(response) == (405, "This page is read with GET.")
    assert response["Allow"] == "GET, HEAD"


def test_a_database_that_fails_lets_nobody_in_and_says_so(
    monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer
) -> None:
    """As in a hub that was started without `migrate`, when the browser has the cookie of another site."""
    client = browser_of(person("ann", operates=True))

    async def fails(*_: object) -> None:
        raise OperationalError("no such table: django_session")

    monkeypatch.setattr(operators, "user_of", fails)
    response = client.get("/ops/")
    assert response.status_code == 503
    assert "manage.py migrate" in response.content.decode()
    assert told(kick(client, {"user": "7"})) == (503, "The database of users does not answer.")
    client.cookies[operators.cookie_name()] = operators.new_cookie()
    assert client.get("/ops/").status_code == 200
    assert kick(client, {"user": "7"}).status_code == 200


# -- a link


def test_a_link_lets_in_once(redis_server: RedisServer) -> None:
    secret, client = make_link(redis_server.url, KEYS), Client()
    response = client.get("/ops/", {"link": secret})
    assert (response.status_code, response["Location"]) == (302, "/ops/")
    assert (response["Cache-Control"], response["Referrer-Policy"]) == ("no-store", "no-referrer")
    [cookie] = response.cookies.values()
    assert cookie.key == operators.cookie_name()
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    assert client.get("/ops/").status_code == 200
    again = Client().get("/ops/", {"link": secret})
    assert again.status_code == 403
    assert "used already" in again.content.decode()
    assert not again.cookies


def test_what_redis_keeps_of_a_link_is_not_the_link(redis_server: RedisServer) -> None:
    secret = make_link(redis_server.url, KEYS)
    with redis_server.client() as client:
        [key] = client.keys("*")
        assert re.fullmatch(rb"relay:\{control\}:link:[0-9a-f]{16}", key)
        assert secret.encode() not in client.get(key)
        assert 0 < client.ttl(key) <= 86_400


@pytest.mark.parametrize("secret", ["", "x", "x" * 43, "ü" * 43, "x" * 10_000, "\0"])
def test_other_links_let_nobody_in(redis_server: RedisServer, secret: str) -> None:
    make_link(redis_server.url, KEYS)
    assert Client().get("/ops/", {"link": secret}).status_code == 403


def test_half_of_a_digest_lets_nobody_in(redis_server: RedisServer) -> None:
    """Somebody who finds a secret with the same beginning of its digest has no link."""
    secret = make_link(redis_server.url, KEYS)
    with redis_server.client() as client:
        [key] = client.keys("*")
        client.set(key, b"0" * 64)
    assert Client().get("/ops/", {"link": secret}).status_code == 403


def test_without_the_setting_neither_a_link_nor_a_cookie_lets_in(
    settings: Settings, redis_server: RedisServer
) -> None:
    client = Client()
    client.get("/ops/", {"link": make_link(redis_server.url, KEYS)})
    settings.RELAY_OPERATOR_LINK = "0"
    assert client.get("/ops/").status_code == 403
    assert client.get("/ops/", {"link": make_link(redis_server.url, KEYS)}).status_code == 403


def test_the_cookie_of_another_run_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    value = operators.new_cookie()
    monkeypatch.setenv(operators.RUN_VARIABLE, "another")
    client = Client()
    client.cookies[operators.cookie_name()] = value
    assert client.get("/ops/").status_code == 403
    client.cookies[operators.cookie_name()] = operators.new_cookie()
    assert client.get("/ops/").status_code == 200


@pytest.mark.parametrize("value", ["", "x", "abcd1234:1xWzc9:forged", "a:b:c:d"])
def test_a_forged_cookie_lets_nobody_in(value: str) -> None:
    client = Client()
    client.cookies[operators.cookie_name()] = value
    assert client.get("/ops/").status_code == 403


def test_a_link_is_kept_while_redis_is_away(redis_server: RedisServer) -> None:
    secret = make_link(redis_server.url, KEYS)
    redis_server.kill()
    response = Client().get("/ops/", {"link": secret})
    assert response.status_code == 503
    assert "Redis does not answer" in response.content.decode()


# -- actions


def test_a_kick_is_noted_and_logged_with_who_did_it(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    ann = person("ann", operates=True)
    client = browser_of(ann)
    for fields in ({"stream": "1f2e"}, {"user": "5\n\u202e"}, {"channel": "orders.7"}):
        response = kick(client, fields)
        assert (response.status_code, response.json()) == (200, {"processes": 0})
    assert kicks(redis_server) == {Kick(stream="1f2e"), Kick("5\n\u202e"), Kick(channel="orders.7")}
    lines = [record.getMessage() for record in caplog.records if "kicked" in record.getMessage()]
    assert lines == [
        f"Operator user {ann.pk} kicked stream 1f2e.",
        f"Operator user {ann.pk} kicked user 5\\n\\u202e.",
        f"Operator user {ann.pk} kicked channel orders.7.",
    ]


def test_a_kick_in_json(redis_server: RedisServer) -> None:
    client = browser_of(person("ann", operates=True))
    headers = {"X-CSRFToken": "a" * 32}
    body = json.dumps({"user": "7"})
    response = client.post("/ops/kick/", body, content_type="application/json", headers=headers)
    assert response.status_code == 200
    assert kicks(redis_server) == {Kick("7")}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("[]", "The body is no JSON object."),
        ("{", "The body is no JSON object."),
        ("{}", "Name one stream, user or channel, as text."),
        ('{"user": ["7"]}', "Name one stream, user or channel, as text."),
        ('{"user": 7}', "Name one stream, user or channel, as text."),
        ('{"user": "7", "channel": "news"}', "Name one stream, user or channel, as text."),
        ('{"user": "\\ud800"}', "Name one stream, user or channel, as text."),
        ('{"user": "%s"}' % ("x" * 256), "Name one stream, user or channel, as text."),
        ('{"stream": "../7"}', "This is no id of a stream."),
        ('{"all": true}', "Name one stream, user or channel, as text."),
    ],
)
def test_what_cannot_be_kicked(redis_server: RedisServer, body: str, detail: str) -> None:
    client = browser_of(person("ann", operates=True))
    headers = {"X-CSRFToken": "a" * 32}
    response = client.post("/ops/kick/", body, content_type="application/json", headers=headers)
    assert told(response) == (400, detail)
    assert kicks(redis_server) == set()


def test_a_long_body_is_refused() -> None:
    client = browser_of(person("ann", operates=True))
    assert told(kick(client, {"user": "x" * 5000})) == (413, "The body is too long.")


@pytest.mark.parametrize(
    "act",
    [lambda client: kick(client, {"user": "7"}), lambda client: find(client, "ann")],
    ids=["kick", "find"],
)
def test_an_action_needs_the_right_and_the_page(
    redis_server: RedisServer, act: Callable[[Client], Any]
) -> None:
    forged = (403, "The CSRF token (X-CSRFToken) or the origin is missing or not right.")
    client = browser_of(person("ann", operates=True))
    del client.cookies["csrftoken"]
    assert told(act(client)) == forged
    client.cookies["csrftoken"] = "b" * 32
    assert told(act(client)) == forged
    assert told(act(browser_of(None))) == (403, "Open the operator's page again to sign in.")
    bob = browser_of(person("bob", operates=False))
    assert told(act(bob)) == (403, "This user may not do this (relay.operate).")
    assert kicks(redis_server) == set()


def test_an_action_of_a_page_of_another_origin_is_refused(redis_server: RedisServer) -> None:
    client = browser_of(person("ann", operates=True))
    response = kick(client, {"user": "7"}, Origin="https://evil.example")
    assert response.status_code == 403
    assert "Access-Control-Allow-Origin" not in response
    assert kicks(redis_server) == set()


def test_a_cookie_of_a_link_needs_the_csrf_token_too(redis_server: RedisServer) -> None:
    client = browser_of(None)
    client.cookies[operators.cookie_name()] = operators.new_cookie()
    assert kick(client, {"user": "7"}, X_CSRFToken="b" * 32).status_code == 403
    assert kick(client, {"user": "7"}).status_code == 200
    assert kicks(redis_server) == {Kick("7")}


def test_a_withdrawn_right_counts_at_once() -> None:
    ann = person("ann", operates=True)
    client = browser_of(ann)
    assert client.get("/ops/").status_code == 200
    ann.user_permissions.clear()
    assert client.get("/ops/").status_code == 403
    assert kick(client, {"user": "7"}).status_code == 403


def test_a_kick_while_redis_is_away_says_that_nobody_was_kicked(redis_server: RedisServer) -> None:
    client = browser_of(person("ann", operates=True))
    redis_server.kill()
    response = kick(client, {"user": "7"})
    status, detail = told(response)
    assert status == 503
    assert detail.endswith("Nobody was kicked.")


def find(client: Client, text: str) -> Any:
    return client.post("/ops/find/", {"text": text}, headers={"X-CSRFToken": "a" * 32})


def test_all_processes_are_asked_to_look_for_a_text(redis_server: RedisServer) -> None:
    client = browser_of(person("ann", operates=True))
    with redis_server.client() as own, own.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe(KEYS.control)
        pubsub.get_message(timeout=5)
        assert find(client, "ann €").json() == {}
        message = next(filter(None, (pubsub.get_message(timeout=5) for _ in range(5))))
        assert Watch.decode(message["data"]) == Watch("ann €")


@pytest.mark.parametrize("text", ["", "x" * 101])
def test_a_text_has_a_length(text: str) -> None:
    client = browser_of(person("ann", operates=True))
    assert told(find(client, text)) == (400, "The text has 1 to 100 characters.")


# -- nothing else leads to the operator's channel


@pytest.mark.parametrize("name", ["relay:ops", "relay:{relay:ops}:marker", "relay:control"])
async def test_no_other_view_knows_the_channel(settings: Settings, name: str) -> None:
    settings.RELAY_HTTP_PUBLISH = "1"
    settings.RELAY_CHANNELS = {"orders.*": {"access": "public", "wildcard": "public"}}
    for response in (
        await AsyncClient().get(f"/presence/{name}/"),
        await AsyncClient().post(f"/publish/{name}/", b"x", content_type="text/plain"),
    ):
        assert told(response) == (404, "There is no such channel.")


def test_a_token_for_the_channel_is_not_given(settings: Settings) -> None:
    settings.RELAY_TOKEN_KEY = "k" * 32
    client = browser_of(person("ann", operates=True))
    headers = {"X-CSRFToken": "a" * 32}
    response = client.post("/token/", {"channel": "relay:ops"}, headers=headers)
    assert told(response) == (404, "There is no such channel.")
