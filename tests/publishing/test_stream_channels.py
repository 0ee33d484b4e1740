"""Publishing on a stream channel adds to its stream: from Python, over HTTP and from the command line."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.db import transaction
from django.test import AsyncClient
from django.urls import path
from pytest_django import Settings

import relay
from relay.access import tokens
from relay.http import publish
from relay.testing import Captured, capture
from tests.support.command import relay_command
from tests.support.servers import RedisServer
from tests.support.tokens import TOKEN_KEY

urlpatterns = [path("publish/<path:channel>/", publish.publish)]


@pytest.fixture(autouse=True)
def client(settings: Settings, redis_server: RedisServer) -> Iterator["redis.Redis"]:
    settings.REDIS_URL = redis_server.url
    settings.RELAY_HTTP_PUBLISH = "1"
    settings.RELAY_TOKEN_KEY = TOKEN_KEY
    settings.RELAY_CHANNELS = {
        "orders": {"access": "public", "source": "stream"},
        "named": {"access": "public", "source": "stream", "envelope": True},
        "short": {"access": "public", "source": "stream", "history_size": 10},
        "brief": {"access": "public", "source": "stream", "history_seconds": 60},
        "endless": {
            "access": "public",
            "source": "stream",
            "history_size": 0,
            "history_seconds": 0,
        },
    }
    with redis_server.client() as connected:
        yield connected


def fields(client: "redis.Redis", key: str) -> list[Any]:
    entries: Any = client.xrange(key)
    return [entry for _, entry in entries]


def roll_back() -> None:
    with transaction.atomic():
        relay.publish("orders", "never", on_commit=True)
        raise LookupError


@pytest.mark.django_db(transaction=True)
def test_python_adds_to_the_stream_now_or_after_the_transaction(client: "redis.Redis") -> None:
    assert relay.publish("orders", {"n": 1}) is None
    assert asyncio.run(relay.apublish("orders", b"\xff")) is None
    with pytest.raises(LookupError):
        roll_back()
    with transaction.atomic():
        relay.publish("orders", "committed", on_commit=True)
        assert client.xlen("orders") == 2
    texts = [b'{"n":1}', b"\xff", b"committed"]
    assert fields(client, "orders") == [{b"data": text} for text in texts]


def test_a_named_event_becomes_fields(client: "redis.Redis") -> None:
    relay.publish("named", {"eur": 9.5}, event="price")
    relay.publish("named", '{"data":"x","retry":500}')
    relay.publish("named", "plain")
    assert fields(client, "named") == [
        {b"data": b'{"eur":9.5}', b"event": b"price"},
        {b"data": b"x", b"retry": b"500"},
        {b"data": b"plain"},
    ]
    with pytest.raises(ValueError, match="has no named events"):
        relay.publish("orders", "x", event="price")


def test_a_stream_is_bounded_by_the_entry_of_the_catalogue(client: "redis.Redis") -> None:
    for number in range(1000):
        relay.publish("short", str(number))
    assert 10 <= client.xlen("short") <= 210
    old = int(time.time() * 1000) - 61_000
    for name in ("brief", "endless"):
        for number in range(500):
            client.xadd(name, {"data": str(number)}, id=f"{old}-{number}")
        relay.publish(name, "new")
    assert client.xlen("brief") <= 101
    assert client.xlen("endless") == 501


async def post(channel: str, body: bytes, key: str = "", kind: str = "text/plain") -> Any:
    bearer = f"Bearer {tokens.issue('svc', [], publish=['orders', 'named'])}"
    headers = {"Authorization": bearer, **({"Idempotency-Key": key} if key else {})}
    response = await AsyncClient().post(
        f"/publish/{channel}/", body, content_type=kind, headers=headers
    )
    return response.status_code, response.json(), response.get("Idempotency-Replayed")


@pytest.mark.urls(__name__)
async def test_http_adds_a_batch_once(client: "redis.Redis") -> None:
    once = (200, {"published": 3, "subscribers": None}, None)
    assert await post("orders", b"a\nb\nc\n", "k", "application/x-ndjson") == once
    again = (200, {"published": 3, "subscribers": None}, "true")
    assert await post("orders", b"a\nb\nc\n", "k", "application/x-ndjson") == again
    assert fields(client, "orders") == [{b"data": text} for text in (b"a", b"b", b"c")]


@pytest.mark.urls(__name__)
async def test_what_redis_refuses_may_be_sent_again(client: "redis.Redis") -> None:
    client.set("orders", "text")
    status, problem, _ = await post("orders", b"a", "k")
    assert (status, problem["detail"]) == (503, "Redis refused; nothing was published.")
    with pytest.raises(relay.RedisError) as raised:
        relay.publish("orders", "a")
    assert raised.value.refused
    client.delete("orders")
    assert await post("orders", b"a", "k") == (200, {"published": 1, "subscribers": None}, None)


def test_the_command_adds_to_the_stream(client: "redis.Redis", redis_server: RedisServer) -> None:
    result = relay_command(
        *("publish", "orders", "Nr. {n}", "--count", "3"),
        REDIS_URL=redis_server.url,
        RELAY_CHANNELS="orders=public+stream",
    )
    assert result.stdout == "3 added to the stream orders\n"
    assert fields(client, "orders") == [{b"data": b"Nr. %d" % n} for n in (1, 2, 3)]


def test_a_test_of_a_site_sees_what_it_publishes(client: "redis.Redis") -> None:
    with capture() as messages:
        assert relay.publish("named", {"eur": 1}, event="price") is None
    assert messages == [Captured("named", {"eur": 1}, "price")]
    assert client.xlen("named") == 0
