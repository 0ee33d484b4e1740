"""`relay.publish` and `relay.apublish`: exact messages, transactions, async, forks, a Redis that is away."""

import asyncio
import datetime
import decimal
import logging
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from pytest_django import Settings

import relay
from tests.support.servers import ROOT, RedisServer, Taken

CHANNELS = {
    "orders": {"access": "public"},
    "named": {"access": "public", "envelope": True},
    "small": {"access": "public", "event_bytes": 256},
    "small_named": {"access": "public", "event_bytes": 256, "envelope": True},
    "room.*": {"access": "public", "wildcard": "public"},
}


def sync_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(relay.publish("orders", {"from": "a view"})))


async def async_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(await relay.apublish("orders", {"from": "an async view"})))


def failing_view(request: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        relay.publish("orders", "never", on_commit=True)
        raise LookupError("after publishing")


urlpatterns = [path("sync/", sync_view), path("async/", async_view), path("failing/", failing_view)]


@pytest.fixture(autouse=True)
def settled(settings: Settings, redis_server: RedisServer) -> None:
    settings.REDIS_URL = redis_server.url
    settings.RELAY_CHANNELS = CHANNELS


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("Grüße, 世界\n", "Grüße, 世界\n".encode()),
        ("", b""),
        (b"\xff\x00 as it is", b"\xff\x00 as it is"),
        (bytearray(b"bytes"), b"bytes"),
        ({"a": [1, 2.5, None, True], "ü": "世"}, '{"a":[1,2.5,null,true],"ü":"世"}'.encode()),
        (None, b"null"),
        (7, b"7"),
        (datetime.date(2026, 11, 24), b'"2026-11-24"'),
        (
            [decimal.Decimal("1.50"), uuid.UUID(int=1)],
            b'["1.50","%s"]' % str(uuid.UUID(int=1)).encode(),
        ),
    ],
)
def test_the_message_is_exactly_the_data(taken: Taken, data: Any, message: bytes) -> None:
    assert relay.publish("orders", data) == 1
    assert asyncio.run(relay.apublish("orders", data)) == 1
    assert taken() == [("orders", message), ("orders", message)]


def test_it_returns_how_many_subscribers_took_it(redis_server: RedisServer) -> None:
    assert relay.publish("room.1", "x") == 0
    with redis_server.client() as client, client.pubsub() as one, client.pubsub() as two:
        for pubsub in (one, two):
            pubsub.subscribe("room.1")
            pubsub.get_message(timeout=1)
        assert relay.publish("room.1", "x") == 2
        assert asyncio.run(relay.apublish("room.1", "x")) == 2


def test_a_named_event_is_the_documented_envelope(taken: Taken) -> None:
    relay.publish("named", {"n": 1}, event="price")
    relay.publish("named", "é", event="note")
    relay.publish("named", b"plain")
    assert taken() == [
        ("named", b'{"event": "price", "data": "{\\"n\\":1}"}'),
        ("named", '{"event": "note", "data": "é"}'.encode()),
        ("named", b"plain"),
    ]


@pytest.mark.parametrize(
    ("channel", "data", "event", "error", "said"),
    [
        ("nowhere", "x", None, ValueError, "'nowhere' is no channel of RELAY_CHANNELS."),
        ("room.*", "x", None, ValueError, "'room.*' is no channel of RELAY_CHANNELS."),
        ("relay:{orders}:log", "x", None, ValueError, "is no channel of RELAY_CHANNELS."),
        ("orders", "x", "price", ValueError, "Set envelope=True in its entry in RELAY_CHANNELS."),
        ("named", "x", "hub.gap", ValueError, "'hub.gap' is no event name"),
        ("named", "x", "a\nid: 1", ValueError, "is no event name"),
        ("named", b"\xff", "price", ValueError, "can't decode byte 0xff"),
        ("orders", float("nan"), None, ValueError, "Out of range float"),
        ("orders", "\ud800", None, ValueError, "surrogates not allowed"),
        ("orders", object(), None, TypeError, "is not JSON serializable"),
        ("small", "x" * 249, None, ValueError, "257 bytes as an event; 'small' takes 256"),
        ("small", "\n" * 36, None, ValueError, "260 bytes as an event; 'small' takes 256"),
        ("small", b"\xff" * 83, None, ValueError, "257 bytes as an event"),
    ],
)
@pytest.mark.parametrize("on_commit", [False, True])
def test_what_cannot_be_sent_is_an_error_at_once_and_nothing_is_sent(
    taken: Taken,
    channel: str,
    data: Any,
    event: str | None,
    error: type[Exception],
    said: str,
    on_commit: bool,
) -> None:
    with pytest.raises(error) as sync:
        relay.publish(channel, data, event=event, on_commit=on_commit)
    with pytest.raises(error) as not_sync:
        asyncio.run(relay.apublish(channel, data, event=event, on_commit=on_commit))
    assert said in str(sync.value)
    assert said in str(not_sync.value)
    assert taken() == []


def test_the_largest_message_that_the_hub_sends_is_taken(taken: Taken) -> None:
    relay.publish("small", "x" * 248)
    relay.publish("small_named", "x" * 248, event="long")
    assert [len(message) for _, message in taken()] == [
        248,
        248 + len('{"event": "long", "data": ""}'),
    ]


# -- transactions


@pytest.mark.django_db(transaction=True)
def test_on_commit_sends_after_the_transaction_what_the_data_was_at_the_call(taken: Taken) -> None:
    data = {"n": 1}
    with transaction.atomic():
        assert relay.publish("orders", data, on_commit=True) is None
        data["n"] = 2
        relay.publish("orders", "at once")
        assert taken() == [("orders", b"at once")]
    assert taken() == [("orders", b'{"n":1}')]


async def _after_commit(data: str) -> list[object]:
    found: Any = relay.apublish("orders", data, on_commit=True)
    return [await found]


@pytest.mark.django_db(transaction=True)
def test_nothing_is_sent_when_the_transaction_is_rolled_back(taken: Taken) -> None:
    with transaction.atomic():
        relay.publish("orders", "never", on_commit=True)
        async_to_sync(_after_commit)("never")
        transaction.set_rollback(True)
    assert taken() == []


@pytest.mark.django_db(transaction=True)
def test_outside_of_a_transaction_on_commit_sends_at_once(taken: Taken) -> None:
    assert relay.publish("orders", "now", on_commit=True) is None
    assert taken() == [("orders", b"now")]


@pytest.mark.django_db(transaction=True)
def test_async_code_shares_the_transaction_of_the_sync_code_that_called_it(taken: Taken) -> None:
    with transaction.atomic():
        assert async_to_sync(_after_commit)("later") == [None]
        assert taken() == []
    assert taken() == [("orders", b"later")]


@pytest.mark.django_db(transaction=True)
def test_a_redis_that_is_away_after_the_commit_is_logged_and_not_raised(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    redis_server.kill()
    with caplog.at_level(logging.ERROR), transaction.atomic():
        relay.publish("orders", "x", on_commit=True)
    [record] = caplog.records
    assert record.name == "django.db.backends.base"
    assert "send_committed in on_commit()" in record.getMessage()


# -- views


@pytest.mark.urls(__name__)
def test_in_views(taken: Taken) -> None:
    assert Client().get("/sync/").content == b"1"
    assert Client().get("/async/").content == b"1"  # as WSGI servers do: a loop for each request
    assert taken() == [("orders", b'{"from":"a view"}'), ("orders", b'{"from":"an async view"}')]


@pytest.mark.urls(__name__)
async def test_in_an_async_view(taken: Taken) -> None:
    assert (await AsyncClient().get("/async/")).content == b"1"
    assert taken() == [("orders", b'{"from":"an async view"}')]


@pytest.mark.urls(__name__)
@pytest.mark.django_db(transaction=True)
def test_a_view_that_fails_in_its_transaction_publishes_nothing(taken: Taken) -> None:
    with pytest.raises(LookupError, match="after publishing"):
        Client().get("/failing/")
    assert taken() == []


# -- connections


async def test_a_thousand_at_once_share_the_connections_of_their_loop(
    redis_server: RedisServer, taken: Taken
) -> None:
    assert await asyncio.gather(*(relay.apublish("orders", n) for n in range(1000))) == [1] * 1000
    assert sorted(int(message) for _, message in taken()) == list(range(1000))
    assert 1 <= len(connections(redis_server, "relay-hub-commands")) <= 16


def test_a_loop_that_ends_leaves_no_connection(redis_server: RedisServer) -> None:
    for _ in range(20):
        asyncio.run(relay.apublish("orders", "x"))
    assert connections(redis_server, "relay-hub-commands") == []


def test_threads_share_one_pool(redis_server: RedisServer, taken: Taken) -> None:
    with ThreadPoolExecutor(40) as threads:
        results = list(threads.map(lambda n: relay.publish("orders", n), range(400)))
    assert results == [1] * 400
    assert sorted(int(message) for _, message in taken()) == list(range(400))
    assert 1 <= len(connections(redis_server, "relay-publish")) <= 16


def failure(publish: Callable[[], object]) -> tuple[bool, str]:
    """Whether Redis refused, and what the error says."""
    with pytest.raises(relay.RedisError) as failed:
        publish()
    return failed.value.refused, str(failed.value)


def test_errors_of_redis_are_of_one_class_and_a_restart_is_no_error(
    redis_server: RedisServer,
) -> None:
    def sync() -> object:
        return relay.publish("orders", "x")

    def not_sync() -> object:
        return asyncio.run(relay.apublish("orders", "x"))

    def kick() -> object:
        return relay.kick(user="1")

    def akick() -> object:
        return asyncio.run(relay.akick(user="1"))

    assert relay.publish("orders", "x") == 0
    redis_server.kill()
    for command in (sync, not_sync, kick, akick):
        refused, text = failure(command)
        assert not refused
        assert f"127.0.0.1:{redis_server.port}" in text
    redis_server.start()
    assert relay.publish("orders", "x") == 0
    redis_server.kill()
    redis_server.start()
    assert relay.publish("orders", "x") == 0  # the pooled connection is dead, which is noticed
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-publish", "-@scripting")
    for command, name in (
        (sync, "PUBLISH"),
        (not_sync, "PUBLISH"),
        (kick, "EVAL"),
        (akick, "EVAL"),
    ):
        refused, text = failure(command)
        assert refused
        assert f"Redis refused {name}" in text


def test_a_redis_that_hangs_is_an_error_after_two_seconds(redis_server: RedisServer) -> None:
    relay.publish("orders", "x")
    with redis_server.client() as client:
        client.execute_command("CLIENT", "PAUSE", "6000", "ALL")
    assert failure(lambda: relay.publish("orders", "x"))[0] is False
    assert failure(lambda: asyncio.run(relay.apublish("orders", "x")))[0] is False


FORK = """
import os, django
django.setup()
import relay
relay.publish("demo_stream", "before")
child = os.fork()
for n in range(100):
    relay.publish("demo_stream", f"{'child' if child == 0 else 'parent'} {n}")
if child:
    assert os.waitpid(child, 0)[1] == 0
"""


def test_a_forked_process_has_connections_of_its_own(redis_server: RedisServer) -> None:
    with redis_server.client() as client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe("demo_stream")
        pubsub.get_message(timeout=1)
        run(FORK, DJANGO_SETTINGS_MODULE="hub.settings", REDIS_URL=redis_server.url)
        got = []
        while (message := pubsub.get_message(timeout=0.2)) is not None:
            got.append(message["data"].decode())
    assert got[0] == "before"
    for who in ("child", "parent"):
        assert [text for text in got if text.startswith(who)] == [f"{who} {n}" for n in range(100)]


def test_importing_relay_needs_no_settings_and_no_django() -> None:
    said = run(
        "import sys, relay\n"
        "assert not [name for name in sys.modules if name.startswith(('django', 'redis'))]\n"
        "print(hasattr(relay, 'subscribe'))"
    )
    assert said == "False\n"


def test_the_public_names_are_these_and_all_of_them_are_there() -> None:
    names = ["Grant", "Problem", "RedisError", "akick", "apublish", "kick", "publish"]
    assert names == relay.__all__
    assert set(names) <= set(dir(relay))
    for name in names:
        assert getattr(relay, name).__name__ == name


def run(code: str, **environment: str) -> str:
    bare = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**bare, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def connections(redis_server: RedisServer, name: str) -> list[dict[str, str]]:
    with redis_server.client() as client:
        return [each for each in client.client_list() if each["name"] == name]
