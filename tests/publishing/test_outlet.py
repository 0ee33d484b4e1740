"""Every message of a process leaves by one outlet, which a test may replace; then no Redis is needed."""

import asyncio
from collections.abc import Iterator

import pytest
from django.db import transaction
from django.test import AsyncClient
from django.urls import path
from pytest_django import Settings

import relay
from relay.access import tokens
from relay.http import publish
from relay.publishing import outlet
from relay.publishing.once import Outgoing, Published
from tests.support.tokens import TOKEN_KEY

urlpatterns = [path("publish/<path:channel>/", publish.publish)]


class Kept:
    """Keeps what would be sent."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []

    def send(self, outgoing: Outgoing) -> Published:
        self.sent.append(outgoing)
        return Published(len(outgoing.messages), 0, again=False)

    async def asend(self, outgoing: Outgoing) -> Published:
        return self.send(outgoing)

    async def take(self, subject: str, per_second: int, number: int) -> float:
        return 0.0


@pytest.fixture
def kept(settings: Settings) -> Iterator[Kept]:
    settings.REDIS_URL = "redis://127.0.0.1:1"
    settings.RELAY_CHANNELS = {"orders": {"access": "public"}}
    settings.RELAY_HTTP_PUBLISH = "1"
    settings.RELAY_TOKEN_KEY = TOKEN_KEY
    kept = Kept()
    with outlet.replaced(kept):
        yield kept


@pytest.mark.urls(__name__)
async def test_what_is_published_over_http_leaves_by_it(kept: Kept) -> None:
    bearer = f"Bearer {tokens.issue('svc', [], publish=['orders'])}"
    response = await AsyncClient().post(
        "/publish/orders/",
        b"a\nb",
        content_type="application/x-ndjson",
        headers={"Authorization": bearer, "Idempotency-Key": "k"},
    )
    assert response.json() == {"published": 2, "subscribers": 0}
    [outgoing] = kept.sent
    assert (outgoing.channel, list(outgoing.messages)) == ("orders", [b"a", b"b"])
    assert outgoing.once is not None


@pytest.mark.django_db(transaction=True)
def test_what_python_code_publishes_leaves_by_it(kept: Kept) -> None:
    assert relay.publish("orders", {"n": 1}) == 0
    assert asyncio.run(relay.apublish("orders", "two")) == 0
    with transaction.atomic():
        relay.publish("orders", "three", on_commit=True)
        assert len(kept.sent) == 2
    assert kept.sent == [
        Outgoing("orders", (b'{"n":1}',)),
        Outgoing("orders", (b"two",)),
        Outgoing("orders", (b"three",)),
    ]


def test_afterwards_messages_go_to_redis_again(kept: Kept) -> None:
    with outlet.replaced(Kept()):
        relay.publish("orders", "x")
    assert kept.sent == []
    relay.publish("orders", "x")
    assert len(kept.sent) == 1
    assert isinstance(outlet._outlets[0], outlet.RedisOutlet)
