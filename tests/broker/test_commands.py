"""Commands on a real Redis: together on their way, each with its own answer."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from relay.broker.address import RedisAddress
from relay.broker.commands import TOGETHER, ServerCommands
from relay.broker.errors import RedisUnavailable
from tests.support.servers import RedisServer
from tests.support.tls import Tls


@pytest.fixture
async def commands(redis_server: RedisServer) -> AsyncIterator[ServerCommands]:
    commands = ServerCommands(RedisAddress(redis_server.url).client)
    yield commands
    await commands.aclose()


async def test_what_is_asked_in_one_turn_goes_together_and_each_gets_its_own_answer(
    commands: ServerCommands, redis_server: RedisServer
) -> None:
    await commands.run("SET", "text", "1 2 3")
    with redis_server.client() as client:
        before = client.info("stats")["total_reads_processed"]
        calls = [commands.run("ECHO", n) for n in range(3 * TOGETHER)]
        calls.insert(TOGETHER // 2, commands.run("LLEN", "text"))
        answers = await asyncio.gather(*calls, return_exceptions=True)
        reads = client.info("stats")["total_reads_processed"] - before
    refused = answers.pop(TOGETHER // 2)
    assert answers == [b"%d" % n for n in range(3 * TOGETHER)]
    assert isinstance(refused, RedisUnavailable)
    assert refused.refused
    assert "Redis refused LLEN: WRONGTYPE" in str(refused)
    assert reads < 3 * TOGETHER / 4  # connections that are made say a few words of their own


async def test_a_script_that_redis_does_not_know_is_sent_by_each_that_needs_it(
    commands: ServerCommands,
) -> None:
    calls = [commands.script("history_trim", [f"log {n}"], [1000]) for n in range(10)]
    assert await asyncio.gather(*calls) == [0] * 10
    await commands.run("SCRIPT", "FLUSH")
    calls = [commands.script("history_trim", [f"log {n}"], [1000]) for n in range(10)]
    assert await asyncio.gather(*calls) == [0] * 10


async def test_a_call_that_is_cancelled_takes_no_other_with_it(commands: ServerCommands) -> None:
    early = asyncio.create_task(commands.run("INCR", "early"))
    late = asyncio.create_task(commands.run("INCR", "late"))
    other = asyncio.create_task(commands.run("INCR", "other"))
    await asyncio.sleep(0)
    early.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    late.cancel()
    assert await other == 1
    assert await commands.run("MGET", "early", "other") == [None, b"1"]
    assert early.cancelled()
    assert late.cancelled()


async def test_all_that_was_asked_together_fails_when_redis_goes(
    commands: ServerCommands, redis_server: RedisServer
) -> None:
    await commands.run("PING")
    blocked = [asyncio.create_task(commands.run("ECHO", n)) for n in range(2 * TOGETHER)]
    redis_server.kill()
    for call in blocked:
        with pytest.raises(RedisUnavailable) as raised:
            await call
        assert not raised.value.refused
    redis_server.start()
    assert await commands.run("ECHO", "again") == b"again"


async def test_what_is_under_way_ends_with_the_commands(redis_server: RedisServer) -> None:
    commands = ServerCommands(RedisAddress(redis_server.url).client)
    waiting = asyncio.create_task(commands.run("BLPOP", "nothing", 0))
    await asyncio.sleep(0.05)
    await commands.aclose()
    with pytest.raises(RedisUnavailable, match="closed"):
        await waiting


async def test_a_server_that_hangs_cannot_keep_its_connections_open(tmp_path: Path) -> None:
    """Over TLS both sides say good-bye: redis-py raises where the server does not."""
    server = RedisServer(tls=Tls.make(tmp_path))
    commands = ServerCommands(RedisAddress(server.url).client)
    try:
        await commands.run("PING")
        server.signal(signal.SIGSTOP)
        await commands.renew()
        await commands.renew()
        await commands.aclose()
    finally:
        server.signal(signal.SIGCONT)
        server.close()


@pytest.mark.parametrize("error", [TypeError("NoneType"), AttributeError("_sock"), ValueError("x")])
async def test_whatever_a_connection_raises_redis_is_not_available(error: Exception) -> None:
    class Broken:
        async def execute_command(self, *words: object) -> object:
            raise error

        async def aclose(self) -> None: ...

    commands = ServerCommands(lambda: cast(Any, Broken()))
    with pytest.raises(RedisUnavailable, match=type(error).__name__) as caught:
        await commands.run("PING")
    assert not caught.value.refused
    await commands.aclose()
