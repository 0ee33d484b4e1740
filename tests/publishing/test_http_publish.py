"""`POST /publish/<channel>/`: who may, what is sent, once only, how much, how fast."""

import json
import re
import time
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from pytest_django import Settings

import relay
from relay.access import tokens
from relay.conf.catalogue import Target
from relay.http import publish
from tests.support.client import Stream
from tests.support.servers import ROOT, HubProcess, RedisServer, StartHub, Taken
from tests.support.tokens import TOKEN_KEY

CHANNELS = {
    "orders": {"access": "public"},
    "orders/eu": {"access": "public"},
    "named": {"access": "public", "envelope": True},
    "small": {"access": "public", "event_bytes": 256},
    "room.*": {"access": "public", "wildcard": "public"},
}
BATCH = "application/x-ndjson"
ENVELOPE = "application/vnd.relay.envelope+json"


async def by_header(request: HttpRequest, found: Target) -> str:
    """A site's own hook: anybody may, under the name that is given."""
    return request.headers.get("X-Name", "somebody")


urlpatterns = [
    path("publish/<path:channel>/", publish.publish),
    path("open/<path:channel>/", publish.publish, {"authorize": by_header}),
]
pytestmark = pytest.mark.urls(__name__)


@pytest.fixture(autouse=True)
def site(settings: Settings, redis_server: RedisServer) -> None:
    settings.REDIS_URL = redis_server.url
    settings.RELAY_CHANNELS = CHANNELS
    settings.RELAY_HTTP_PUBLISH = "1"
    settings.RELAY_TOKEN_KEY = TOKEN_KEY


def token(*channels: str, subject: str = "svc") -> str:
    return tokens.issue(subject, [], publish=channels)


async def post(
    channel: str, body: bytes, content_type: str = "text/plain", way: str = "open", **headers: str
) -> HttpResponse:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await AsyncClient().post(
        f"/{way}/{channel}/", body, content_type=content_type, headers=names
    )


def told(response: HttpResponse) -> tuple[int, str]:
    """Status and detail of a refusal, whose form is checked."""
    problem = json.loads(response.content)
    assert response["Content-Type"] == "application/problem+json"
    assert response["Cache-Control"] == "no-store"
    assert problem.keys() == {"title", "status", "detail"}
    assert problem["status"] == response.status_code
    return response.status_code, problem["detail"]


def done(response: HttpResponse) -> tuple[int, int]:
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/json"
    answer = json.loads(response.content)
    assert answer.keys() == {"published", "subscribers"}
    return answer["published"], answer["subscribers"]


# -- what is sent


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/json",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
    ],
)
async def test_the_body_is_the_message_byte_for_byte(taken: Taken, content_type: str) -> None:
    for body in (b' {"a": 1}\r\n\xff\x00', b"csrfmiddlewaretoken=1&x=%20", b""):
        assert done(await post("orders", body, content_type)) == (1, 1)
        assert taken() == [("orders", body)]


async def test_each_line_of_a_batch_is_a_message(taken: Taken) -> None:
    body = b'{"n": 1}\r\n\n  \nplain text\n"\xc3\xa9"\n\xff last'
    assert done(await post("orders", body, BATCH)) == (4, 1)
    lines = [b'{"n": 1}', b"plain text", b'"\xc3\xa9"', b"\xff last"]
    assert taken() == [("orders", line) for line in lines]


async def test_a_batch_goes_out_in_one_piece(taken: Taken, redis_server: RedisServer) -> None:
    lines = [b"%d" % n for n in range(10_000)]
    assert done(await post("orders", b"\n".join(lines), BATCH)) == (10_000, 1)
    assert taken() == [("orders", line) for line in lines]
    with redis_server.client() as client:
        assert client.info("commandstats")["cmdstat_publish"]["calls"] == 10_001


async def test_an_envelope_is_checked_and_sent_as_it_is(taken: Taken) -> None:
    body = b'{"event": "price",  "data": {"n": 1}, "retry": 5}'
    assert done(await post("named", body, ENVELOPE)) == (1, 1)
    assert taken() == [("named", body)]
    for wrong in (b"text", b'{"event": "hub.gap", "data": ""}', b'{"data": "", "id": "1"}'):
        assert told(await post("named", wrong, ENVELOPE)) == (
            400,
            "This is no envelope: see docs/publishing.md.",
        )
    assert told(await post("orders", body, ENVELOPE)) == (
        415,
        "This channel has no named events (envelope in RELAY_CHANNELS).",
    )
    assert taken() == []


async def test_a_channel_name_may_hold_a_slash(taken: Taken) -> None:
    assert done(await post("orders/eu", b"x")) == (1, 1)
    assert taken() == [("orders/eu", b"x")]


def test_the_path_works_without_its_last_slash(
    start_publisher: StartHub,
) -> None:
    hub = start_publisher()
    assert http(hub, b"x", path="/publish/demo_stream")[0] == 200


@pytest.mark.parametrize(
    "channel", ["nowhere", "room.*", "relay:%7Borders%7D:log", "__keyspace@0__:x"]
)
async def test_what_is_no_channel_is_404(taken: Taken, channel: str) -> None:
    assert told(await post(channel, b"x")) == (404, "There is no such channel.")
    assert taken() == []


async def test_it_is_off_unless_configured(settings: Settings, taken: Taken) -> None:
    del settings.RELAY_HTTP_PUBLISH
    assert told(await post("orders", b"x")) == (
        404,
        "Publishing over HTTP is off (RELAY_HTTP_PUBLISH).",
    )
    assert taken() == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_other_methods_are_405(method: str) -> None:
    response = await AsyncClient().generic(method, "/open/orders/")
    assert told(response) == (405, "Messages are published with POST.")
    assert response["Allow"] == "POST"


# -- how much


async def test_an_event_that_the_hub_would_not_send_is_413(taken: Taken) -> None:
    assert done(await post("small", b"x" * 248)) == (1, 1)
    too_large = (413, "The message is larger than an event may be (256 bytes).")
    assert told(await post("small", b"x" * 249)) == too_large
    assert told(await post("small", b"\n" * 36)) == too_large
    assert told(await post("small", b"x" * 9_000_000)) == too_large
    body = b"fits\n\n" + b"x" * 249
    assert told(await post("small", body, BATCH)) == (
        413,
        "Line 3 is larger than an event may be (256 bytes).",
    )
    assert taken() == [("small", b"x" * 248)]


async def test_a_batch_has_its_limits(settings: Settings, taken: Taken) -> None:
    settings.RELAY_PUBLISH_PER_SECOND = 1_000_000
    largest = (b"x" * (1024 * 1024 - 1) + b"\n") * 8
    assert done(await post("orders", largest, BATCH)) == (8, 1)
    assert len(taken()) == 8
    assert told(await post("orders", largest + b"\n", BATCH)) == (
        413,
        "A batch has up to 8388608 bytes.",
    )
    assert told(await post("orders", b"x\n" * 10_001, BATCH)) == (
        413,
        "A batch has up to 10000 messages.",
    )
    assert told(await post("orders", b"\r\n \n", BATCH)) == (400, "The batch has no message.")
    assert taken() == []


async def test_a_compressed_body_is_415(taken: Taken) -> None:
    refused = (415, "A body is sent as it is, without Content-Encoding.")
    assert told(await post("orders", b"x", Content_Encoding="gzip")) == refused
    assert done(await post("orders", b"x", Content_Encoding="identity")) == (1, 1)
    assert taken() == [("orders", b"x")]


# -- how fast


async def test_more_than_the_rate_is_429_and_says_when_to_come_back(
    settings: Settings, taken: Taken
) -> None:
    settings.RELAY_PUBLISH_PER_SECOND = 2
    twenty = b"x\n" * 20
    assert told(await post("orders", b"x\n" * 21, BATCH)) == (413, "A batch has up to 20 messages.")
    assert done(await post("orders", twenty, BATCH)) == (20, 1)
    for body, kind, seconds in (
        (b"x", "text/plain", "1"),
        (b"x\n" * 9, BATCH, "5"),
        (twenty, BATCH, "10"),
    ):
        response = await post("orders", body, kind)
        assert told(response) == (429, "Up to 2 messages a second (RELAY_PUBLISH_PER_SECOND).")
        assert response["Retry-After"] == seconds
    assert len(taken()) == 20
    assert done(await post("orders", twenty, BATCH, X_Name="somebody else")) == (20, 1)


async def test_the_bucket_fills_again_and_is_forgotten_when_full(
    settings: Settings, redis_server: RedisServer
) -> None:
    settings.RELAY_PUBLISH_PER_SECOND = 1  # a second is long beside what a request takes
    assert done(await post("orders", b"x\n" * 10, BATCH)) == (10, 0)
    assert (await post("orders", b"x")).status_code == 429
    time.sleep(1.05)
    assert done(await post("orders", b"x")) == (1, 0)
    assert (await post("orders", b"x")).status_code == 429
    with redis_server.client() as client:
        [key] = client.keys("relay:rate:*")
        assert 8_000 < client.pttl(key) <= 10_000


# -- once


async def test_the_same_key_publishes_once_and_gets_the_first_result(
    taken: Taken, redis_server: RedisServer
) -> None:
    first = await post("orders", b"a\nb", BATCH, Idempotency_Key="order 17 ~!")
    assert (done(first), "Idempotency-Replayed" in first) == ((2, 1), False)
    with redis_server.client() as client, client.pubsub() as another:
        another.subscribe("orders")
        another.get_message(timeout=1)
        again = await post("orders", b"a\nb", BATCH, Idempotency_Key="order 17 ~!")
        assert (done(again), again["Idempotency-Replayed"]) == ((2, 1), "true")
        [key] = client.keys("relay:once:*")
        assert 86_390 < client.ttl(key) <= 86_400
        assert re.fullmatch(rb"relay:once:[0-9a-f]{64}", key)
    assert taken() == [("orders", b"a"), ("orders", b"b")]


async def test_another_key_subject_or_channel_is_another_request(taken: Taken) -> None:
    await post("orders", b"1", Idempotency_Key="k")
    await post("orders", b"2", Idempotency_Key="K")
    await post("orders", b"3", Idempotency_Key="k", X_Name="somebody else")
    await post("named", b"4", Idempotency_Key="k")
    await post("orders", b"5")
    await post("orders", b"6")
    assert [message for _, message in taken()] == [b"1", b"2", b"3", b"4", b"5", b"6"]


@pytest.mark.parametrize("key", ["", "x" * 201, "é", "a\tb"])
async def test_a_key_that_cannot_be_one_is_400(taken: Taken, key: str) -> None:
    assert told(await post("orders", b"x", Idempotency_Key=key)) == (
        400,
        "An Idempotency-Key has 1 to 200 printable ASCII characters.",
    )
    assert done(await post("orders", b"x", Idempotency_Key="x" * 200)) == (1, 1)
    assert taken() == [("orders", b"x")]


@pytest.mark.parametrize(
    ("refuse", "allow"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (
            ("ACL", "SETUSER", "default", "resetchannels"),
            ("ACL", "SETUSER", "default", "allchannels"),
        ),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    ],
    ids=["out of memory", "no right to publish", "read only"],
)
async def test_what_redis_refused_may_be_tried_again_with_the_same_key(
    redis_server: RedisServer, refuse: tuple[str, ...], allow: tuple[str, ...]
) -> None:
    with redis_server.client() as client:
        client.execute_command(*refuse)
        response = await post("orders", b"x", Idempotency_Key="k")
        assert told(response) == (503, "Redis refused; nothing was published.")
        assert response["Retry-After"] == "5"
        client.execute_command(*allow)
        with client.pubsub(ignore_subscribe_messages=True) as pubsub:
            pubsub.subscribe("orders")
            pubsub.get_message(timeout=1)
            again = await post("orders", b"x", Idempotency_Key="k")
            assert (done(again), "Idempotency-Replayed" in again) == ((1, 1), False)
            message = pubsub.get_message(timeout=5)
            assert message is not None
            assert message["data"] == b"x"


async def test_a_redis_that_is_away_is_503(redis_server: RedisServer) -> None:
    redis_server.kill()
    response = await post("orders", b"x")
    assert told(response) == (
        503,
        "Redis did not answer; whether anything was published is not known.",
    )
    assert response["Retry-After"] == "1"
    redis_server.start()
    assert done(await post("orders", b"x")) == (1, 0)


# -- who may


async def test_a_token_with_a_publish_claim(taken: Taken) -> None:
    for name in ("orders", "room.7"):
        bearer = f"Bearer {token('orders', 'room.*')}"
        assert done(await post(name, b"x", way="publish", Authorization=bearer)) == (1, 1)
    assert taken() == [("orders", b"x"), ("room.7", b"x")]


async def test_other_tokens_may_not(taken: Taken) -> None:
    only_reads = tokens.issue("svc", ["orders"])
    for text, refusal, challenge in [
        (
            token("named"),
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
    client.cookies["relay_token"] = token("orders")
    response = await client.post(
        f"/publish/orders/?token={token('orders')}", b"x", content_type="text/plain"
    )
    assert told(response) == (401, "A token or a signed-in user is needed.")
    assert response["WWW-Authenticate"] == "Bearer"
    assert taken() == []


async def test_the_rate_goes_by_the_subject_of_the_token(settings: Settings, taken: Taken) -> None:
    settings.RELAY_PUBLISH_PER_SECOND = 1
    for subject, status in [("a", 200), ("a", 429), ("b", 200)]:
        bearer = f"Bearer {token('orders', subject=subject)}"
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


# -- real hubs


def http(
    hub: HubProcess,
    body: bytes,
    kind: str = BATCH,
    path: str = "/publish/demo_stream/",
    **headers: str,
) -> tuple[int, Any]:
    parts = urlsplit(hub.url)
    connection = HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    names |= {"Content-Type": kind, "Authorization": f"Bearer {token('demo_stream')}"}
    try:
        connection.request("POST", path, body, names)
        response = connection.getresponse()
        return response.status, json.load(response)
    finally:
        connection.close()


@pytest.fixture
def start_publisher(start_hub: StartHub) -> StartHub:
    def start(**settings: Any) -> HubProcess:
        return start_hub(RELAY_HTTP_PUBLISH="1", RELAY_TOKEN_KEY=TOKEN_KEY, **settings)

    return start


def test_a_key_and_the_rate_hold_across_processes(
    start_publisher: StartHub, redis_server: RedisServer
) -> None:
    hubs = [start_publisher(RELAY_PUBLISH_PER_SECOND=1) for _ in range(2)]
    with Stream(hubs[0].url) as stream:
        hubs[0].wait_for_streams(1)
        for hub in hubs:
            assert http(hub, b"a\nb\nc", Idempotency_Key="k") == (
                200,
                {"published": 3, "subscribers": 2},
            )
        redis_server.publish("the next")
        assert stream.data(4) == ["a", "b", "c", "the next"]
    assert [http(hub, b"x\n" * 4, Idempotency_Key="l")[0] for hub in hubs] == [200, 429]


def test_batches_one_after_the_other_arrive_whole_and_in_order(
    start_publisher: StartHub, redis_server: RedisServer
) -> None:
    hub = start_publisher(RELAY_PUBLISH_PER_SECOND=1_000_000)
    with Stream(hub.url, timeout=30) as stream:
        hub.wait_for_streams(1)
        for first in range(0, 20_000, 1000):
            body = b"\n".join(b'{"n": %d}' % n for n in range(first, first + 1000))
            assert http(hub, body) == (200, {"published": 1000, "subscribers": 1})
        assert stream.data(20_000) == [f'{{"n": {n}}}' for n in range(20_000)]


def test_a_large_body_reaches_the_limits_of_the_channel(
    start_publisher: StartHub,
) -> None:
    hub = start_publisher()
    assert http(hub, b"x" * 1_900_000, "text/plain")[0] == 200
    assert http(hub, b"x" * 3_000_000, "text/plain")[0] == 413
    assert http(hub, (b"x" * 1_000_000 + b"\n") * 8) == (200, {"published": 8, "subscribers": 1})
