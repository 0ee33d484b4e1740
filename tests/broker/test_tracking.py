"""The connection on which Redis tells which keys have changed: answers and notices in order."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from relay.broker.address import RedisAddress
from relay.broker.commands import script_text
from relay.broker.errors import SubscriptionRefused
from relay.broker.tracking import Tracking
from tests.support.servers import RedisServer


class Heard:
    """Keeps what is told, in order."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.news = asyncio.Event()

    def changed(self, keys: Sequence[bytes] | None) -> None:
        self.take(("changed", keys))

    def notified(self, channel: bytes) -> None:
        self.take(("notified", channel))

    def take(self, item: Any) -> None:
        self.said.append(item)
        self.news.set()

    async def until(self, number: int) -> list[Any]:
        async with asyncio.timeout(5):
            while len(self.said) < number:
                self.news.clear()
                await self.news.wait()
        return self.said


@pytest.fixture
async def heard() -> Heard:
    return Heard()


@pytest.fixture
async def tracking(heard: Heard, redis_server: RedisServer) -> AsyncIterator[Tracking]:
    connection = await RedisAddress(redis_server.url).track(heard)
    hello = await connection.begin()
    assert (hello.mode, hello.role) == ("standalone", "master")
    yield connection
    connection.abort("the test is over")
    await connection.closed


def read(tracking: Tracking, heard: Heard, key: str) -> None:
    tracking.send(("XRANGE", key, "-", "+", "COUNT", 5), heard.take)


async def test_a_read_registers_a_key_until_its_next_change(
    tracking: Tracking, heard: Heard, redis_server: RedisServer
) -> None:
    with redis_server.client() as client:
        for key in ("a", "b"):
            read(tracking, heard, key)
        assert await heard.until(2) == [[], []]
        client.xadd("a", {"data": "1"}, id="1-1")
        client.xadd("a", {"data": "2"}, id="2-1")
        client.set("unread", "x")
        client.delete("b")
        client.set("b", "x")
        assert await heard.until(4) == [[], [], ("changed", [b"a"]), ("changed", [b"b"])]
        read(tracking, heard, "a")
        entries = (await heard.until(5))[4]
        assert [entry[0] for entry in entries] == [b"1-1", b"2-1"]
        read(tracking, heard, "b")
        assert str((await heard.until(6))[5]).startswith("WRONGTYPE")
        client.flushall()
        assert (await heard.until(7))[6] == ("changed", None)


async def test_commands_scripts_and_a_subscription_beside_it(
    tracking: Tracking, heard: Heard, redis_server: RedisServer
) -> None:
    await tracking.subscribe("probe")
    tracking.send_script("stream_read", "a", ["0-0", 5, 1000], heard.take)
    tracking.send(("ECHO", "after"), heard.take)
    assert sorted(await heard.until(2), key=str) == sorted([[b"none"], b"after"], key=str)
    with redis_server.client() as client:
        assert client.script_exists(script_text("stream_read")[1]) == [True]
        client.publish("probe", "x")
        client.xadd("a", {"data": "1"})
    assert (await heard.until(4))[2:] == [("notified", b"probe"), ("changed", [b"a"])]
    tracking.ping()
    assert not tracking.heard
    tracking.send_script("stream_read", "a", ["0-0", 5, 1000], heard.take)
    assert (await heard.until(5))[4][0] == b"stream"
    assert tracking.heard


async def test_what_redis_denies_is_an_error(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        rights = ["on", ">x", "~*", "+hello", "+client|setname"]
        client.execute_command("ACL", "SETUSER", "some", *rights)
    for user in ("some:x", "some:wrong"):
        url = redis_server.url.replace("redis://", f"redis://{user}@")
        connection = await RedisAddress(url).track(Heard())
        with pytest.raises(SubscriptionRefused):
            await connection.begin()
        connection.abort("it was refused")
        await connection.closed
