"""Presence: right across processes, gone with them, shown to those who may see it."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.request import urlopen

import pytest
from django.http import HttpRequest
from django.test import AsyncClient
from django.urls import path
from pytest_django import Settings

from relay.access import tokens
from relay.access.grant import Grant
from relay.access.problem import Problem
from relay.broker.address import RedisAddress
from relay.broker.commands import ServerCommands
from relay.broker.keys import HubKeys
from relay.broker.link import Link
from relay.conf.catalogue import Target
from relay.control import presence, processes
from relay.control.presence import Presence, PresenceReader, Present
from relay.control.processes import Processes
from relay.http import presence as presence_view
from tests.support.client import Stream
from tests.support.forwarder import Forwarder
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.tokens import TOKEN_KEY
from tests.support.waiting import at_most, until, wait_until

CHANNELS = {
    "news": {"access": "public"},
    "desk": {"access": "signed-in"},
    "room.*": {"access": "public", "wildcard": "public"},
}


NOBODY = Present(0, ())
KEYS = HubKeys("relay")


def reader(presence: Presence) -> PresenceReader:
    return PresenceReader(presence._commands, presence._keys)


async def to_anybody(request: HttpRequest, target: Target) -> Grant:
    """A site's own hook: users may be seen, but nothing of the desk."""
    if target.name == "desk":
        raise Problem(403, "Not the desk.")
    return Grant(sees_users=True)


urlpatterns = [
    path("presence/<path:channel>/", presence_view.presence),
    path("open/<path:channel>/", presence_view.presence, {"authorize": to_anybody}),
]


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "TURN_SECONDS", 0.01)


@pytest.fixture
def fast(prompt: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes expire soon as well, which a busy machine may be too slow for."""
    monkeypatch.setattr(processes, "SIGN_SECONDS", 0.2)
    monkeypatch.setattr(processes, "EXPIRY_SECONDS", 0.6)


@asynccontextmanager
async def process(redis_server: RedisServer) -> AsyncIterator[Presence]:
    """As the hub of one process has it; at the end it dies without a word."""
    with Forwarder(redis_server.port) as forwarder:
        commands = ServerCommands(RedisAddress(forwarder.url).client)
        one = Presence(commands, KEYS, Processes(commands, KEYS), Link())
        task = asyncio.create_task(one.run())
        try:
            yield one
        finally:
            forwarder.target = 1
            await commands.renew()
            await ended(task)
            await commands.aclose()


async def ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def becomes(what: Callable[[], Awaitable[Any]], value: Any, seconds: float = 3.0) -> None:
    async def reached() -> bool:
        return bool(await what() == value)

    await until(reached, seconds)


async def test_it_is_the_sum_of_all_processes(redis_server: RedisServer, fast: None) -> None:
    async with process(redis_server) as one, process(redis_server) as two:
        one.enter(["news", "room.1"], "7")
        one.enter(["news"], "7")
        one.enter(["news"], "")
        two.enter(["news"], "7")
        two.enter(["news"], "12")
        for each in (one, two):
            await becomes(partial(reader(each).of, "news"), Present(5, ("12", "7")))
            assert await reader(each).of("room.1") == Present(1, ("7",))
            assert await reader(each).of("room.2") == NOBODY
            assert await reader(each).count("news") == 5
        one.leave(["news", "room.1"], "7")
        two.leave(["news"], "12")
        await becomes(lambda: reader(two).of("news"), Present(3, ("7",)))
        await becomes(lambda: reader(two).of("room.1"), NOBODY)


async def test_a_process_that_died_is_gone_when_its_time_is_over(
    redis_server: RedisServer, fast: None
) -> None:
    async with process(redis_server) as one:
        one.enter(["news"], "1")
        async with process(redis_server) as two:
            two.enter(["news"], "2")
            await becomes(lambda: reader(one).of("news"), Present(2, ("1", "2")))
        assert await reader(one).count("news") == 2
        await becomes(lambda: reader(one).of("news"), Present(1, ("1",)))
        with redis_server.client() as client:
            assert len(client.keys("relay:{control}:*")) == 2
            await becomes(lambda: asyncio.to_thread(client.zcard, KEYS.processes), 1)
    with redis_server.client() as client:
        await becomes(lambda: asyncio.to_thread(client.keys), [])


async def test_a_process_that_stops_is_gone_at_once(redis_server: RedisServer) -> None:
    async with process(redis_server) as one:
        stopped = Presence(one._commands, KEYS, Processes(one._commands, KEYS), Link())
        task = asyncio.create_task(stopped.run())
        stopped.enter(["news"], "1")
        await becomes(lambda: reader(one).of("news"), Present(1, ("1",)))
        await ended(task)
        assert await reader(one).of("news") == NOBODY
        task = asyncio.create_task(stopped.run())  # as after a failure
        await becomes(lambda: reader(one).of("news"), Present(1, ("1",)), seconds=1.5)
        await ended(task)


async def test_what_does_not_change_is_not_written_again(
    redis_server: RedisServer, fast: None
) -> None:
    async with process(redis_server) as one:
        one.enter([f"room.{n}" for n in range(5000)], "1")
        with redis_server.client() as client:
            await becomes(lambda: reader(one).count("room.1"), 1)
            [entries] = client.keys("relay:{control}:presence:*")
            await becomes(lambda: asyncio.to_thread(client.hlen, entries), 5001)
            client.config_resetstat()
            await asyncio.sleep(0.7)
            calls = {name: stat["calls"] for name, stat in client.info("commandstats").items()}
        assert 6 <= calls["cmdstat_evalsha"] <= 12  # a sign of life with each refresh
        assert "cmdstat_hset" not in calls


async def test_a_redis_that_lost_everything_is_told_again(
    redis_server: RedisServer, fast: None
) -> None:
    async with process(redis_server) as one:
        one.enter(["news"], "1")
        one.enter(["room.1"], "")
        await becomes(lambda: reader(one).of("room.1"), Present(1, ()))
        with redis_server.client() as client:
            client.flushall()
        assert await reader(one).of("news") == NOBODY
        await becomes(lambda: reader(one).of("news"), Present(1, ("1",)))
        await becomes(lambda: reader(one).of("room.1"), Present(1, ()))


async def test_a_redis_that_is_away_is_told_when_it_is_back(
    redis_server: RedisServer, fast: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with process(redis_server) as one:
        one.enter(["news"], "1")
        await becomes(lambda: reader(one).count("news"), 1)
        caplog.set_level(logging.INFO, "relay")
        redis_server.kill()
        one.enter(["news"], "2")
        await asyncio.sleep(0.1)
        redis_server.start()
        await becomes(lambda: reader(one).of("news"), Present(2, ("1", "2")))
    assert caplog.records == []  # the listener is the one that tells


async def test_a_redis_that_refuses_is_told_once_and_live_goes_on(
    redis_server: RedisServer, fast: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with process(redis_server) as one:
        one.enter(["room.1"], "1")
        await becomes(lambda: reader(one).count("room.1"), 1)
        with redis_server.client() as client, caplog.at_level(logging.INFO, "relay"):
            client.execute_command("ACL", "SETUSER", "default", "-hset")
            one.enter(["news"], "1")
            await until(lambda: "Presence cannot be written" in caplog.text)
            client.execute_command("ACL", "SETUSER", "default", "+hset")
            await becomes(lambda: reader(one).of("news"), Present(1, ("1",)))
            await until(lambda: "Presence is written again." in caplog.text)
        first, second = [record.getMessage() for record in caplog.records]
        assert first.startswith("Presence cannot be written: Redis refused EVALSHA: ")
        assert second == "Presence is written again."


# -- the view


@pytest.fixture
def site(settings: Settings, redis_server: RedisServer) -> None:
    """A process that runs no hub."""
    settings.REDIS_URL = redis_server.url
    settings.RELAY_CHANNELS = CHANNELS
    settings.RELAY_TOKEN_KEY = TOKEN_KEY


@asynccontextmanager
async def serving(redis_server: RedisServer) -> AsyncIterator[None]:
    """While a hub of another process has streams."""
    async with process(redis_server) as one:
        one.enter(["news", "room.1", "room.*"], "7")
        one.enter(["news"], "")
        await becomes(lambda: reader(one).count("news"), 2)
        yield


async def ask(url: str, bearer: str = "", method: str = "GET") -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    response = await AsyncClient().generic(method, url, headers=headers)
    assert response["Cache-Control"] == "no-store"
    answer = json.loads(response.content)
    return response.status_code, answer.get("detail", answer)


@pytest.mark.urls(__name__)
async def test_the_count_is_for_those_who_may_see_the_channel(
    site: None, redis_server: RedisServer, prompt: None
) -> None:
    async with serving(redis_server):
        assert await ask("/presence/news/") == (200, {"channel": "news", "count": 2})
        assert await ask("/presence/room.1/") == (200, {"channel": "room.1", "count": 1})
        assert await ask("/presence/room.*/") == (200, {"channel": "room.*", "count": 1})
        assert await ask("/presence/desk/") == (401, "Sign in to see this channel.")
        other = tokens.issue("svc", ["news"])
        assert await ask("/presence/desk/", other) == (
            403,
            "The token does not grant this channel.",
        )
        own = tokens.issue("svc", ["desk"])
        assert await ask("/presence/desk/", own) == (200, {"channel": "desk", "count": 0})
        assert (await ask("/presence/news/", "nonsense"))[0] == 200  # as for its stream
        assert await ask("/presence/desk/", "nonsense") == (401, "The token is not valid.")
        assert await ask("/presence/nowhere/") == (404, "There is no such channel.")
        assert await ask("/presence/news/", method="POST") == (405, "Presence is read with GET.")


@pytest.mark.urls(__name__)
async def test_the_users_are_for_those_whom_the_hook_lets(
    site: None, redis_server: RedisServer, prompt: None
) -> None:
    async with serving(redis_server):
        assert await ask("/open/news/") == (200, {"channel": "news", "count": 2, "users": ["7"]})
        assert await ask("/open/desk/") == (403, "Not the desk.")


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("claim", [["news"], ["*"], ["room.1"], "news", None])
async def test_a_token_may_see_users_by_its_claim(
    site: None,
    redis_server: RedisServer,
    prompt: None,
    claim: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    claims = {"sub": "svc", "exp": 4e9, "channels": ["news"], "presence": claim}
    monkeypatch.setattr(tokens, "decode", lambda text: claims)
    shown = {"users": ["7"]} if claim in (["news"], ["*"]) else {}
    async with serving(redis_server):
        assert await ask("/presence/news/", "x") == (200, {"channel": "news", "count": 2} | shown)


@pytest.mark.urls(__name__)
async def test_without_redis_it_is_503(site: None, redis_server: RedisServer, prompt: None) -> None:
    async with serving(redis_server):
        redis_server.kill()
        assert await ask("/presence/news/") == (503, "Redis did not answer.")


# -- real hubs


def shown(hub: HubProcess, channel: str) -> int:
    with urlopen(f"{hub.url}/presence/{channel}/", timeout=5) as response:
        answer = json.load(response)
    assert answer.keys() == {"channel", "count"}
    return int(answer["count"])


def test_two_hubs_agree_within_a_second(start_hub: StartHub, redis_server: RedisServer) -> None:
    one, two = (start_hub(RELAY_CHANNELS="news") for _ in range(2))

    def both(channel: str, count: int) -> None:
        agree = lambda: shown(one, channel) == shown(two, channel) == count  # noqa: E731
        wait_until(agree, f"{count} on {channel}", at_most(1))

    with Stream(one.url, "/stream/?channel=news"):
        with Stream(two.url, "/stream/?channel=news&channel=demo_stream"), Stream(two.url):
            both("news", 2)
            both("demo_stream", 2)
        both("demo_stream", 0)
        both("news", 1)
        with redis_server.client() as client:
            keys = client.keys("relay:{control}:*")
            assert len(keys) == 5  # the list, and presence and a report of each
            assert all(18_000 < client.pttl(key) <= 30_000 for key in keys)
        one.stop()
        assert shown(two, "news") == 0
