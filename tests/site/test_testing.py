"""relay.testing, as a site's tests use it."""

import asyncio
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from pytest_django import Settings

import relay
from relay.engine.lifespan import running_hub
from relay.testing import Captured, Event, capture, open_stream, redis_server

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def channels(settings: Settings) -> None:
    settings.REDIS_URL = NOWHERE
    settings.RELAY_CHANNELS = {
        "news": {"access": "public"},
        "prices": {"access": "public", "envelope": True},
        "user.{user_id}": {"access": "owner"},
    }


# -- what is published


def test_what_is_published_is_captured_as_values_and_needs_no_redis() -> None:
    with capture() as published:
        assert relay.publish("news", {"id": 7, "sum": 9.5}) == 0
        relay.publish("news", ["a", None])
        relay.publish("news", "text, 17")
        relay.publish("news", "17")
        relay.publish("news", b"\xff\x00")
        relay.publish("prices", {"eur": "12.50"}, event="price")
        relay.publish("prices", "plain")
    assert published == [
        Captured("news", {"id": 7, "sum": 9.5}),
        Captured("news", ["a", None]),
        Captured("news", "text, 17"),
        Captured("news", "17"),
        Captured("news", b"\xff\x00"),
        Captured("prices", {"eur": "12.50"}, "price"),
        Captured("prices", "plain"),
    ]


def test_a_message_that_could_not_be_sent_is_an_error_all_the_same() -> None:
    with capture() as published:
        with pytest.raises(ValueError, match="is no channel of RELAY_CHANNELS"):
            relay.publish("nwes", "x")
        with pytest.raises(ValueError, match="has no named events"):
            relay.publish("news", "x", event="y")
        with pytest.raises(TypeError):
            relay.publish("news", object())
    assert published == []


def test_after_the_block_messages_are_sent_again() -> None:
    with pytest.raises(KeyError), capture():
        raise KeyError
    with pytest.raises(ConnectionError):
        relay.publish("news", "x")


def test_blocks_may_be_nested_and_the_inner_one_has_it() -> None:
    with capture() as outer:
        relay.publish("news", "1")
        with capture() as inner:
            relay.publish("news", "2")
        relay.publish("news", "3")
    assert ([m.data for m in outer], [m.data for m in inner]) == (["1", "3"], ["2"])


async def test_async_code_is_captured() -> None:
    with capture() as published:
        await relay.apublish("news", "x")
    assert published == [Captured("news", "x")]


@pytest.mark.django_db
def test_what_waits_for_the_commit_of_the_test_is_there_at_the_end_of_the_block() -> None:
    others: list[str] = []
    relay.publish("news", "before", on_commit=True)
    with capture() as published:
        relay.publish("news", "1", on_commit=True)
        transaction.on_commit(lambda: others.append("x"))
        with transaction.atomic():
            relay.publish("news", "rolled back", on_commit=True)
            transaction.set_rollback(True)
        with transaction.atomic():
            relay.publish("news", "2", on_commit=True)
        assert published == []
    assert [message.data for message in published] == ["1", "2"]
    assert others == []
    assert len(transaction.get_connection().run_on_commit) == 2


@pytest.mark.django_db(transaction=True)
def test_a_commit_within_the_block_sends_at_once() -> None:
    with capture() as published:
        with transaction.atomic():
            relay.publish("news", "1", on_commit=True)
            assert published == []
        assert [message.data for message in published] == ["1"]
    assert len(published) == 1


# -- what a stream delivers


@pytest.fixture
def redis() -> Iterator[str]:
    with redis_server() as url:
        yield url


async def test_a_stream_gets_what_is_published_in_the_test(redis: str) -> None:
    async with open_stream("news") as stream:
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        await relay.apublish("news", {"id": 7})
        event = await stream.event()
        assert event == Event('{"id":7}', "message", stream.last_id)
        assert event.json() == {"id": 7}
        await relay.apublish("news", "a\nb")
        assert (await stream.event()).data == "a\nb"


async def test_the_fields_of_the_address_and_headers_are_passed_on(redis: str) -> None:
    async with open_stream("news") as stream:
        for n in range(5):
            await relay.apublish("news", str(n))
        seen = [await stream.event() for _ in range(5)]
        async with open_stream("news", rewind=2) as another:
            assert [(await another.event()).data for _ in range(2)] == ["3", "4"]
        async with open_stream("news", headers={"Last-Event-ID": seen[2].id}) as back:
            assert [await back.event() for _ in range(2)] == seen[3:]


async def test_several_channels_and_named_events(redis: str) -> None:
    async with open_stream("news", "prices") as stream:
        await relay.apublish("prices", "12.50", event="price")
        event = await stream.event()
        assert (event.type, event.data) == ("price", "12.50")


@pytest.mark.django_db(transaction=True)
async def test_the_rules_of_the_site_decide(redis: str) -> None:
    ann = await User.objects.acreate(username="ann")
    bob = await User.objects.acreate(username="bob")
    name = f"user.{ann.pk}"
    async with open_stream(name, user=ann) as stream:
        assert stream.status == 200
        await relay.apublish(name, "for ann")
        assert (await stream.event()).data == "for ann"
    async with open_stream(name, user=bob) as stream:
        assert (stream.status, stream.problem["title"]) == (403, "Forbidden")
        with pytest.raises(EOFError):
            await stream.event()
    async with open_stream(name) as stream:
        assert stream.status == 401
    async with open_stream("nowhere") as stream:
        assert stream.status == 404


@pytest.mark.django_db(transaction=True)
async def test_a_stream_that_is_kicked_ends(redis: str) -> None:
    ann = await User.objects.acreate(username="ann")
    async with open_stream(f"user.{ann.pk}", user=ann) as stream:
        await relay.akick(user=str(ann.pk))
        with pytest.raises(EOFError):
            await stream.event()


async def test_no_event_is_a_timeout_and_nothing_is_left_behind(redis: str) -> None:
    before = len(asyncio.all_tasks())
    async with open_stream("news") as stream:
        with pytest.raises(TimeoutError):
            await stream.event(seconds=0.05)
    assert running_hub() is None
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before


async def test_without_a_redis_the_test_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.testing.stream.WAIT_SECONDS", 0.2)
    with pytest.raises(TimeoutError, match="is there a Redis"):
        async with open_stream("news"):
            pass
