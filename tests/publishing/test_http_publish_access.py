"""`POST /publish/<channel>/`: who may."""

import re
from typing import Any

import pytest
import redis
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.test import AsyncClient, Client
from pytest_django import Settings

import relay
from relay.access import tokens
from tests.support.publish_site import BATCH, done, post, told
from tests.support.servers import ROOT, RedisServer, Taken
from tests.support.tokens import token

pytestmark = [
    pytest.mark.urls("tests.support.publish_site"),
    pytest.mark.usefixtures("publish_site"),
]


async def test_a_token_with_a_publish_claim(taken: Taken) -> None:
    for name in ("orders", "room.7"):
        bearer = f"Bearer {token(publish=['orders', 'room.*'])}"
        assert done(await post(name, b"x", way="publish", Authorization=bearer)) == (1, 1)
    assert taken() == [("orders", b"x"), ("room.7", b"x")]


async def test_other_tokens_may_not(taken: Taken) -> None:
    only_reads = tokens.issue("svc", ["orders"])
    for text, refusal, challenge in [
        (
            token(publish=["named"]),
            (403, "The token does not grant publishing on this channel."),
            "insufficient_scope",
        ),
        (
            only_reads,
            (403, "The token does not grant publishing on this channel."),
            "insufficient_scope",
        ),
        ("nonsense", (401, "The token is not valid."), "invalid_token"),
        ("", (401, "The token is not valid."), "invalid_token"),
        (
            tokens.issue("svc", [], -60, ["orders"]),
            (401, "The token has expired."),
            "invalid_token",
        ),
    ]:
        response = await post("orders", b"x", way="publish", Authorization=f"Bearer {text}")
        assert told(response) == refusal
        assert response["WWW-Authenticate"] == f'Bearer error="{challenge}"'
    assert taken() == []


async def test_a_token_counts_in_the_header_only(taken: Taken) -> None:
    client = AsyncClient()
    client.cookies["relay_token"] = token(publish=["orders"])
    response = await client.post(
        f"/publish/orders/?token={token(publish=['orders'])}", b"x", content_type="text/plain"
    )
    assert told(response) == (401, "A token or a signed-in user is needed.")
    assert response["WWW-Authenticate"] == "Bearer"
    assert taken() == []


async def test_the_rate_goes_by_the_subject_of_the_token(settings: Settings, taken: Taken) -> None:
    settings.RELAY_PUBLISH_PER_SECOND = 1
    for subject, status in [("a", 200), ("a", 429), ("b", 200)]:
        bearer = f"Bearer {token(publish=['orders'], sub=subject)}"
        response = await post("orders", b"x\n" * 10, BATCH, "publish", Authorization=bearer)
        assert response.status_code == status
    assert len(taken()) == 20


def person(name: str, *, may_publish: bool) -> User:
    user = User.objects.create_user(name)
    if may_publish:
        kind, _ = ContentType.objects.get_or_create(app_label="relay", model="access")
        permission, _ = Permission.objects.get_or_create(
            codename="publish", content_type=kind, defaults={"name": "May publish over HTTP"}
        )
        user.user_permissions.add(permission)
    return user


def browser_of(user: User) -> Client:
    """With the user's session and a CSRF cookie, and Django's check switched on."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    client.cookies["csrftoken"] = "a" * 32
    return client


@pytest.mark.django_db(transaction=True)
def test_a_user_with_the_permission_and_a_csrf_token(taken: Taken) -> None:
    client = browser_of(person("ann", may_publish=True))
    forged = (403, "The CSRF token (X-CSRFToken) or the origin is missing or not right.")
    own = {"X-CSRFToken": "a" * 32}
    for headers in (
        {},
        {"X-CSRFToken": "b" * 32},
        {**own, "Origin": "https://evil.example"},
        {**own, "Origin": "null"},
    ):
        assert told(post_as(client, headers)) == forged
    assert told(post_as(client, {}, "csrfmiddlewaretoken=" + "a" * 32)) == forged
    assert taken() == []
    assert done(post_as(client, own)) == (1, 1)
    assert done(post_as(client, {**own, "Origin": "http://testserver"})) == (1, 1)
    assert taken() == [("orders", b"x"), ("orders", b"x")]


@pytest.mark.django_db(transaction=True)
def test_a_user_without_the_permission_may_not(taken: Taken) -> None:
    client = browser_of(person("bob", may_publish=False))
    refused = (403, "This user may not publish (relay.publish).")
    assert told(post_as(client, {"X-CSRFToken": "a" * 32})) == refused
    assert taken() == []


def post_as(client: Client, headers: dict[str, str], body: str = "x") -> Any:
    kind = "application/x-www-form-urlencoded"
    return client.post("/publish/orders/", body, content_type=kind, headers=headers)


@pytest.mark.django_db(transaction=True)
def test_a_user_and_a_token_of_the_same_name_do_not_share_an_idempotency_key(taken: Taken) -> None:
    user = person("ann", may_publish=True)
    bearer = f"Bearer {token(sub=str(user.pk), publish=['orders'])}"
    own = {"X-CSRFToken": "a" * 32, "Idempotency-Key": "k"}
    for _ in range(2):
        assert done(post_as(browser_of(user), own)) == (1, 1)
        assert done(post_as(Client(), {"Authorization": bearer, "Idempotency-Key": "k"})) == (1, 1)
    assert taken() == [("orders", b"x"), ("orders", b"x")]


async def test_the_documented_rights_are_enough(
    settings: Settings, redis_server: RedisServer
) -> None:
    text = (ROOT / "docs" / "publishing.md").read_text()
    [rights] = re.findall(r"^    ACL SETUSER publisher (.*)$", text, re.MULTILINE)
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "publisher", *rights.split())
        settings.REDIS_URL = redis_server.url.replace("//", "//publisher:password@")
        for again in (False, True):
            response = await post("demo_stream", b"x\ny", BATCH, Idempotency_Key="k")
            assert (done(response), "Idempotency-Replayed" in response) == ((2, 0), again)
        assert told(await post("orders", b"x", Idempotency_Key="k"))[0] == 503
        assert await relay.apublish("demo_stream", "x") == 0
        assert relay.publish("demo_stream", "x") == 0
        assert client.acl_log()[0]["object"] == "orders"
    with redis.Redis.from_url(settings.REDIS_URL) as publisher:
        for words in (
            ("DEL", "relay:{demo_stream}:log"),
            ("SET", "relay:{demo_stream}:epoch", "9999999999999"),
            ("DEL", "relay:kicks"),
            ("SET", "relay:processes", "x"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError, match="key"):
                publisher.execute_command(*words)
