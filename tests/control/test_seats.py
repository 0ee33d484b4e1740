"""Limits per user and address hold over all processes, whatever happens to one of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import pytest

from relay import tasks
from relay.broker.address import RedisAddress
from relay.broker.commands import ServerCommands
from relay.broker.keys import HubKeys
from relay.control import processes, seats
from relay.control.processes import Processes
from relay.control.seats import Seats
from tests.support.client import raw_request, read_until
from tests.support.forwarder import Forwarder
from tests.support.servers import RedisServer, StartHub
from tests.support.waiting import until, wait_until

KEYS = HubKeys("relay")
ANN = [("user", "7"), ("address", "192.0.2.1")]
BOB = [("user", "8"), ("address", "192.0.2.1")]


@asynccontextmanager
async def process(
    redis_server: RedisServer, forwarder: Forwarder | None = None, **limits: int
) -> AsyncIterator[Seats]:
    """As the hub of one process has it; at the end it dies without a word."""
    url = forwarder.url if forwarder else redis_server.url
    commands = ServerCommands(RedisAddress(url).client)
    listed = Processes(commands, KEYS)
    await listed.sign()
    one = Seats(limits, commands, KEYS, listed)
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        await tasks.end([task])
        await commands.aclose()


async def test_the_streams_of_all_processes_count(redis_server: RedisServer) -> None:
    async with process(redis_server, user=3) as one, process(redis_server, user=3) as two:
        assert await one.take(ANN)
        assert await two.take(ANN)
        assert await one.take(ANN)
        assert not await two.take(ANN)
        assert not await one.take(ANN)
        assert await two.take(BOB)
        one.leave(ANN)

        async def free() -> bool:
            return await two.take(ANN)

        await until(free)


async def test_one_limit_that_is_reached_takes_no_seat_of_the_other(
    redis_server: RedisServer,
) -> None:
    both = partial(process, redis_server, user=2, address=2)
    async with both() as one, both() as two:
        assert await one.take(ANN)
        assert await two.take(BOB)
        assert not await one.take(BOB)  # the address has two
        assert await one.take([("user", "8"), ("address", "192.0.2.2")])
        assert not await two.take([("user", "8"), ("address", "192.0.2.3")])


async def test_of_many_at_once_as_many_get_in_as_may(redis_server: RedisServer) -> None:
    async with process(redis_server, user=50) as one, process(redis_server, user=50) as two:
        taken = await asyncio.gather(*(seats.take(ANN) for seats in [one, two] * 100))
        assert sum(taken) == 50


async def test_a_process_that_died_takes_no_seats(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "EXPIRY_SECONDS", 0.3)
    async with process(redis_server, user=1) as dead:
        assert await dead.take(ANN)
    async with process(redis_server, user=1) as one:
        assert not await one.take(ANN)

        async def free() -> bool:
            await one._processes.sign()
            return await one.take(ANN)

        await until(free)


async def test_without_a_limit_redis_is_not_asked(redis_server: RedisServer) -> None:
    async with process(redis_server, user=0) as one:
        for _ in range(3):
            assert await one.take(ANN)
        with redis_server.client() as client:
            assert client.keys("*seats*") == []


async def test_while_redis_is_away_a_process_counts_alone_and_writes_it_down_later(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seats, "AGAIN_SECONDS", 0.05)
    with Forwarder(redis_server.port) as forwarder:
        async with process(redis_server, forwarder, user=2) as one:
            forwarder.target = 1
            await cast(ServerCommands, one._commands).renew()
            assert await one.take(ANN)
            assert not one.any_full(ANN)
            assert await one.take(ANN)
            assert one.any_full(ANN)
            forwarder.target = redis_server.port
            async with process(redis_server, user=2) as two:

                async def full() -> bool:
                    taken = await two.take(ANN)
                    if taken:
                        two.leave(ANN)
                    return not taken

                await until(full, 10)


async def test_nothing_is_left_of_who_has_gone(redis_server: RedisServer) -> None:
    async with process(redis_server, user=2, address=2) as one:
        assert await one.take(ANN)
        with redis_server.client() as client:
            assert len(client.keys("relay:{control}:seats:*")) == 2
            one.leave(ANN)
            await until(lambda: client.keys("relay:{control}:seats:*") == [])


@pytest.mark.slow
def test_two_workers_share_the_limits(start_hub: StartHub) -> None:
    hub = start_hub(
        RELAY_WORKERS="2", RELAY_MAX_STREAMS_PER_ADDRESS="5", RELAY_TRUSTED_PROXIES="127.0.0.1"
    )
    hub.wait_for_log("2 workers")
    request = (
        b"GET /stream/ HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.7\r\n"
        b"Accept: */*\r\n\r\n"
    )

    def is_open() -> bool:
        connection = raw_request(hub.url, request)
        if b" 200 " in read_until(connection, b"\r\n\r\n"):
            streams.append(connection)
            return True
        connection.close()
        return False

    streams: list[object] = []
    for _ in range(20):
        is_open()
    assert len(streams) == 5
    for _ in range(5):
        streams.pop().close()  # type: ignore[attr-defined]
        wait_until(is_open, "there is room at once", 1)
    assert len(streams) == 5
    for stream in streams:
        stream.close()  # type: ignore[attr-defined]
