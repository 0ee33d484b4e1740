"""The list of hub processes: one that gives no sign expires, one that leaves is gone."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from relay.broker.address import RedisAddress
from relay.broker.commands import ServerCommands
from relay.broker.errors import RedisUnavailable
from relay.broker.keys import HubKeys
from relay.control import processes
from relay.control.kick import Kick
from relay.control.kick_notes import KickNotes
from relay.control.processes import Processes
from tests.support.servers import RedisServer

KEYS = HubKeys("relay")


@pytest.fixture
async def commands(redis_server: RedisServer) -> AsyncIterator[ServerCommands]:
    commands = ServerCommands(RedisAddress(redis_server.url).client)
    yield commands
    await commands.aclose()


async def count(commands: ServerCommands) -> int:
    """As a kick counts them."""
    number, refusal = await KickNotes(commands, KEYS).note(Kick("nobody"))
    assert refusal == ""
    return number


async def test_each_process_is_counted_once_until_it_leaves(commands: ServerCommands) -> None:
    one, two = Processes(commands, KEYS), Processes(commands, KEYS)
    assert one.id != two.id
    for _ in range(2):
        await asyncio.gather(one.sign(), two.sign())
    assert await count(commands) == 2
    await one.leave()
    assert await count(commands) == 1
    await one.sign()
    assert await count(commands) == 2, "a part that failed was started again"


async def test_a_process_that_gives_no_sign_expires(
    commands: ServerCommands, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "EXPIRY_SECONDS", 1.0)
    one, two = Processes(commands, KEYS), Processes(commands, KEYS)
    await two.sign()
    async with asyncio.timeout(10):
        while True:
            await one.sign()
            if await count(commands) == 1:
                break
            await asyncio.sleep(0.05)
    with redis_server.client() as client:
        assert client.zrange(KEYS.processes, 0, -1) == [one.id.encode()]
        async with asyncio.timeout(10):
            while client.exists(KEYS.processes):
                await asyncio.sleep(0.05)


async def test_without_redis_both_say_so(
    commands: ServerCommands, redis_server: RedisServer
) -> None:
    one = Processes(commands, KEYS)
    redis_server.kill()
    for call in (one.sign, one.leave):
        with pytest.raises(RedisUnavailable):
            await call()
