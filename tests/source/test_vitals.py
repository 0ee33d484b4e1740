"""Whether a connection lives: silence ends it, but no silence while reading is paused."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest

from relay.broker.address import RedisAddress
from relay.broker.keys import HubKeys
from relay.broker.link import Link, MasterLink
from relay.broker.master import Master
from relay.feed.backpressure import Backpressure
from relay.source import connection, vitals
from relay.source.connection import Connection
from relay.source.refusals import Refusals
from relay.source.vitals import Vitals
from relay.stats import Stats
from tests.support.forwarder import Forwarder
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until

PING_SECONDS = 0.05
SILENCE_SECONDS = 0.3


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitals, "PING_SECONDS", PING_SECONDS)
    monkeypatch.setattr(connection, "PROBE_SECONDS", 0.1)
    monkeypatch.setattr(vitals, "SILENCE_SECONDS", SILENCE_SECONDS)


class Watched:
    """A connection that is watched, and whose reading can be paused."""

    def __init__(self, forwarder: Forwarder) -> None:
        self.forwarder = forwarder
        self.master = Master(RedisAddress(forwarder.url))
        self.connection = Connection(self.master, HubKeys("relay"), MasterLink(Link()))
        self.backpressure = Backpressure()
        self.failure: asyncio.Task[str]

    async def start(self) -> None:
        await self.connection.connect()
        self.backpressure.control(self, self.connection.subscription)
        watch = Vitals(self.connection, [], self.backpressure, Refusals(self.master.name), Stats())
        self.failure = asyncio.create_task(watch.failure())

    async def lives_for(self, seconds: float) -> bool:
        await asyncio.wait([self.failure], timeout=seconds)
        return not self.failure.done()

    async def reason(self) -> str:
        return await asyncio.wait_for(self.failure, 5)


@pytest.fixture
async def watched(fast: None, redis_server: RedisServer) -> AsyncIterator[Watched]:
    before = asyncio.all_tasks()
    with Forwarder(redis_server.port) as forwarder:
        it = Watched(forwarder)
        await it.start()
        yield it
        it.failure.cancel()
        it.connection.abort("the test is over")
        await asyncio.gather(it.failure, return_exceptions=True)
        await it.connection.subscription.closed
        async with asyncio.timeout(5):
            while (
                asyncio.all_tasks() - before - {asyncio.current_task()}
            ):  # a probe may be under way
                await asyncio.sleep(0.01)


async def test_a_connection_that_answers_lives(watched: Watched) -> None:
    assert await watched.lives_for(3 * SILENCE_SECONDS)


async def test_a_redis_that_hangs_is_silent(watched: Watched, redis_server: RedisServer) -> None:
    redis_server.signal(signal.SIGSTOP)
    try:
        assert await watched.reason() == f"no sign of life for {SILENCE_SECONDS:g} s"
    finally:
        redis_server.signal(signal.SIGCONT)


async def test_a_connection_that_ends_says_why(watched: Watched, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.client_kill_filter(_type="pubsub")
    assert await watched.reason() == "Redis closed the connection"


async def test_reading_that_is_paused_is_no_silence_and_neither_is_its_end(
    watched: Watched,
) -> None:
    for _ in range(3):
        watched.backpressure.pause_for("a fan-out")
        assert await watched.lives_for(3 * SILENCE_SECONDS)
        watched.backpressure.resume_for("a fan-out")
    assert await watched.lives_for(3 * SILENCE_SECONDS)


async def test_a_server_that_was_replaced_is_noticed(
    watched: Watched, redis_server: RedisServer
) -> None:
    new = RedisServer()
    try:
        watched.forwarder.target = new.port
        assert await watched.reason() == "published messages no longer arrive"
    finally:
        new.close()


async def test_a_probe_that_redis_refuses_is_logged_once_and_the_connection_lives(
    watched: Watched, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-publish")
    assert await watched.lives_for(3 * SILENCE_SECONDS)
    [line] = [record.getMessage() for record in caplog.records]
    assert "refused the probe: NOPERM" in line
    assert "right +publish" in line


async def test_a_message_on_the_control_channel_calls_and_is_no_probe(
    redis_server: RedisServer,
) -> None:
    link, keys = Link(), HubKeys("relay")
    connection = Connection(Master(RedisAddress(redis_server.url)), keys, MasterLink(link))
    await connection.connect()
    await connection.subscribe_to_control()
    await asyncio.wait_for(link.called(), 1)  # for what came before
    wait_until(lambda: redis_server.publish("", keys.control) == 1, "it is subscribed")
    await asyncio.wait_for(link.called(), 1)
    assert not connection.probed.is_set()
    connection.abort("the test is over")
    await connection.subscription.closed
