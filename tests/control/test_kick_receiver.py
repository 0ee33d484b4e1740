"""The receiver of kicks in one process, whatever becomes of the message that carries them."""

import asyncio
import random
import signal
import time
from typing import Any

import pytest
from pytest_django import Settings

from relay.broker.errors import RedisError
from relay.control import kick_ledger, kick_notes, kicks
from relay.control.kick import Kick
from relay.control.kicks import akick
from relay.control.kicks import kick as kick_now
from tests.support.forwarder import Forwarder
from tests.support.kicks import (
    GROUP_KEY,
    KEYS,
    Fake,
    Owner,
    close_shared_layer,
    documented,
    layers,
    running,
)
from tests.support.servers import RedisServer
from tests.support.waiting import at_most, until, within


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """No message goes through the layer."""

    async def tell(group: str, refusal: str) -> None:
        pass

    monkeypatch.setattr(kicks, "_tell_by_layer", tell)


@pytest.mark.parametrize(
    ("kicked", "others"),
    [
        ({"user": "7"}, [Fake(("a",), Owner("8")), Fake(("a",)), Fake(("7",))]),
        ({"channel": "a"}, [Fake(("b",)), Fake(("ab",)), Fake(("a*c",)), Fake(("b",), Owner("a"))]),
        ({"channel": "orders.*"}, [Fake(("orders.7",))]),
        ({"all": True}, []),
    ],
    ids=str,
)
async def test_only_the_streams_that_are_named_end(
    url: str, kicked: dict[str, Any], others: list[Fake]
) -> None:
    hit = [
        Fake(("a",), Owner("7")),
        Fake(("orders.*", "b", "a"), Owner("7")),
        Fake(("*", "x"), Owner("7")),
    ]
    if kicked == {"channel": "orders.*"}:
        hit = hit[1:]
    async with running(url) as one, running(url) as two:
        for process in (one, two):
            process.streams.update(hit + others)
        assert await akick(**kicked) == 2
        for process in (one, two):
            await process.until_ended(*hit)
            await process.until_looked()
            assert process.streams == set(others)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"user": "7", "channel": "a"}, {"user": "7", "all": True}, {"user": ""}, {"channel": ""}],
    ids=str,
)
async def test_one_must_be_named_and_only_one(url: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="kick"):
        await akick(**wrong)
    with pytest.raises(
        ValueError, match=r"^7 cannot be kicked\. Use the id or the name, as text\.$"
    ):
        await akick(user=7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "kick", [Kick("7"), Kick("a b \u20ac"), Kick(channel="orders.7"), Kick(stream="1f2e"), Kick()]
)
def test_a_kick_is_read_as_it_was_written_and_no_two_are_alike(kick: Kick) -> None:
    assert Kick.decode(kick.encode().encode()) == kick
    assert kick.encode() != kick.encode()


@pytest.mark.parametrize("entry", [b"", b"1", b"1 user", b"1 user ", b"1 pet 7", b"\xff"])
async def test_what_nobody_understands_kicks_nobody(
    url: str, redis_server: RedisServer, entry: bytes
) -> None:
    async with running(url, renew_seconds=0.1) as process:
        stream = process.open("7")
        with redis_server.client() as client:
            client.zadd(KEYS.kicks, {entry: time.time() * 1000})
        await akick(user="8")
        await process.until_looked()
        assert process.streams == {stream}


async def test_a_kick_is_applied_once(url: str) -> None:
    async with running(url, renew_seconds=0.05) as process:
        before = process.open("7")
        await akick(user="7")
        await process.until_ended(before)
        process.open("7")
        for _ in range(3):
            await process.until_looked()
        assert process.ended == [before]


async def test_what_was_kicked_before_the_start_is_not_applied(url: str) -> None:
    assert await akick(user="7") == 0
    assert await akick(all=True) == 0
    await asyncio.sleep(0.5)  # an answer that comes late makes the process seem older
    async with running(url, renew_seconds=0.05, member=False) as process:
        stream = process.open("7")
        for _ in range(3):
            await process.until_looked()
        assert process.streams == {stream}
        await akick(user="7")
        await process.until_ended(stream)


async def test_a_lost_message_is_made_good(url: str, silent: None) -> None:
    async with running(url, renew_seconds=0.3) as process:
        streams = [process.open(str(n)) for n in range(5)]
        for n in range(4):
            await akick(user=str(n))
        await process.until_ended(*streams[:4])
        assert process.streams == {streams[4]}


async def test_a_group_that_redis_forgot_is_joined_again(
    url: str, redis_server: RedisServer
) -> None:
    async with running(url, renew_seconds=0.5) as process:
        with redis_server.client() as client:
            for _ in range(3):
                assert client.delete(*client.keys("asgi*")) >= 1
                stream = process.open("7")
                await akick(user="7")
                await process.until_ended(stream)
                await until(lambda: client.exists(GROUP_KEY))


async def test_a_kick_during_a_loss_of_redis_is_applied_after_it(
    redis_server: RedisServer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with Forwarder(redis_server.port) as way:
        settings.CHANNEL_LAYERS, settings.REDIS_URL = layers(way.url), redis_server.url
        async with running(way.url) as process:
            stream = process.open("7")
            way.target = 1
            with redis_server.client() as client:
                client.client_kill_filter(skipme=True)
            await akick(user="7")
            await asyncio.sleep(0.5)
            assert process.streams == {stream}
            way.target = redis_server.port
            await process.until_ended(stream, seconds=2.5)


async def test_redis_killed_and_started_again(url: str, redis_server: RedisServer) -> None:
    async with running(url) as process:
        for _ in range(3):
            redis_server.kill()
            with pytest.raises(RedisError, match=r"Nobody was kicked\.$"):
                await akick(user="7")
            await asyncio.sleep(random.uniform(0, 0.3))
            await asyncio.to_thread(redis_server.start)
            stream, other = process.open("7"), process.open("8")
            with redis_server.client() as client:
                await until(lambda: client.exists(KEYS.processes), 2.5)
            with within(1):
                assert await akick(user="7") == 1
                await process.until_ended(stream)
            assert other in process.streams


async def test_a_kick_right_after_a_restart_of_redis_is_not_lost(
    url: str, redis_server: RedisServer
) -> None:
    async with running(url) as process:
        redis_server.kill()
        await asyncio.to_thread(redis_server.start)
        stream = process.open("7")
        await akick(user="7")
        await process.until_ended(stream, seconds=2.5)


async def test_who_is_admitted_while_kicked_is_kicked(url: str) -> None:
    async with running(url) as process:
        loop = asyncio.get_running_loop()
        before, stream, another = loop.time(), Fake(owner=Owner("7")), Fake(owner=Owner("8"))
        assert not process.kicks.reached(stream, before)
        hit = process.open("7")
        await akick(user="7")
        await akick(user="9")
        await process.until_ended(hit)
        assert process.kicks.reached(stream, before)
        assert process.kicks.reached(stream, loop.time())
        assert not process.kicks.reached(another, before)
        await asyncio.sleep(kick_ledger.HOLD_SECONDS + 0.1)
        assert not process.kicks.reached(stream, loop.time())
        assert process.kicks.reached(stream, before)


async def test_10_000_streams_end_and_the_event_loop_goes_on(url: str) -> None:
    async with running(url) as process:
        for n in range(10_000):
            process.open(str(n % 100))
        await akick(user="7")
        await until(lambda: len(process.ended) == 100, at_most(1))
        await akick(all=True)
        await until(lambda: not process.streams, at_most(1))


async def test_200_kicks_leave_nothing_behind(
    url: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kick_notes, "KEEP_SECONDS", 2.0)
    monkeypatch.setattr(kick_ledger, "OVERLAP_SECONDS", 2.0)
    async with running(url, renew_seconds=0.5) as process:
        with redis_server.client() as client:
            stream = process.open("last")
            await akick(user="first")
            tasks, clients = len(asyncio.all_tasks()), len(client.client_list())
            for n in range(200):
                process.open(f"{n}")
                await akick(user=f"{n}")
            await akick(user="last")
            await process.until_ended(stream)
            assert len(process.ended) == 201
            await until(lambda: not client.exists(KEYS.kicks))
            await until(lambda: not process.kicks._ledger.applied)
            await until(lambda: len(client.client_list()) <= clients)
            await until(lambda: len(asyncio.all_tasks()) <= tasks)
            keys = {key.decode().partition("!")[0].split(".")[0] for key in client.scan_iter()}
            assert keys <= {KEYS.processes, "asgi:group:relay"}
    await close_shared_layer()


async def test_the_end_leaves_no_task_and_no_member_whenever_it_comes(
    url: str, redis_server: RedisServer
) -> None:
    tasks = asyncio.all_tasks()
    for n in range(60):
        async with running(url, renew_seconds=0.05, member=bool(n % 2)) as process:
            process.open("7")
            if n % 3:
                await akick(user="7")
            await asyncio.sleep(random.uniform(0, 0.1))
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == tasks
    await close_shared_layer()
    with redis_server.client() as client:
        assert client.zcard(KEYS.processes) == 0
        await until(lambda: len(client.client_list()) == 1)
        assert client.zcard(GROUP_KEY) <= 30  # ends that came within the joining


async def test_the_end_does_not_wait_for_a_redis_that_hangs(
    url: str, redis_server: RedisServer
) -> None:
    async with running(url) as process:
        process.open("7")
        redis_server.signal(signal.SIGSTOP)
        begin = time.monotonic()
    assert time.monotonic() - begin < at_most(1.5)
    redis_server.signal(signal.SIGCONT)


async def test_the_documented_rights_are_enough(
    redis_server: RedisServer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    rights = documented("operations.md", "ACL SETUSER hub ").split()[3:]
    rights += documented("kick.md", "~asgi").split()
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "hub", "on", *rights)
    url = redis_server.url.replace("//", "//hub:password@")
    settings.REDIS_URL, settings.CHANNEL_LAYERS = url, layers(url)
    async with running(url, renew_seconds=0.3, member=False) as process:
        with redis_server.client() as client:
            await until(lambda: client.zcard(GROUP_KEY))
        for _ in range(5):
            stream = process.open("7")
            assert await akick(user="7") == 1
            await process.until_ended(stream)
            await asyncio.sleep(0.2)
        assert caplog.records == []
        with redis_server.client() as client:
            assert client.execute_command("ACL", "LOG") == []


async def test_a_redis_that_refuses_is_told(
    url: str,
    redis_server: RedisServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-evalsha", "-eval")
        async with running(url, member=False) as process:
            await until(lambda: "Kicks may come late or not at all" in caplog.text)
            with pytest.raises(RedisError, match=r"Redis refused EVALSHA.*Nobody was kicked"):
                await akick(user="7")
            client.execute_command("ACL", "SETUSER", "default", "+@all")
            await until(lambda: "Kicks are received again." in caplog.text)
            stream = process.open("7")
            await akick(user="7")
            await process.until_ended(stream)


def test_kick_works_without_an_event_loop_and_says_how_many_there_are(url: str) -> None:
    for _ in range(20):
        assert kick_now(user="7") == 0


async def test_one_stream_is_kicked_by_its_id(url: str) -> None:
    async with running(url) as process:
        victim, other = Fake(owner=Owner("7"), id="1f"), Fake(owner=Owner("7"), id="1f0")
        process.streams |= {victim, other}
        await akick(stream="1f")
        await process.until_ended(victim)
        await process.until_looked()
        assert process.streams == {other}


@pytest.mark.parametrize("name", ["", "x", "1F", "1f\n", "1f " * 30, "f" * 65])
async def test_what_is_no_id_of_a_stream_kicks_nobody(url: str, name: str) -> None:
    with pytest.raises(ValueError, match=r"no id of a stream|cannot be kicked"):
        await akick(stream=name)
