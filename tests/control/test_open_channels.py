"""The look at open channels: right over all processes, bounded, and shared."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from relay.broker.address import RedisAddress
from relay.broker.commands import Commands, ServerCommands
from relay.broker.keys import HubKeys
from relay.conf.catalogue import Catalogue, Spec
from relay.control import open_channels
from relay.control.open_channels import Look, OpenChannels
from tests.support.servers import RedisServer, free_port

KEYS = HubKeys("relay")
CATALOGUE = Catalogue(
    [
        Spec("news", "public", 1, 1, 1),
        Spec("quiet", "public", 1, 1, 1),
        Spec("room.*", "public", 1, 1, 1, wildcard="public"),
        Spec("hall.*", "public", 1, 1, 1),
    ],
    "relay",
)


@pytest.fixture
def stored(server: RedisServer) -> Iterator[Any]:
    """A client of the server, which is empty at first."""
    with server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
async def commands(server: RedisServer, stored: Any) -> AsyncIterator[Commands]:
    commands = ServerCommands(RedisAddress(server.url).client)
    yield commands
    await commands.aclose()


def process(stored: Any, name: str, counts: dict[str, int]) -> None:
    """As a hub process writes its presence."""
    stored.zadd(KEYS.processes, {name: 9e15})
    entries = {channel: f'{count} ["7","8"]' for channel, count in counts.items()}
    stored.hset(KEYS.presence + name, mapping={"": "", **entries})


async def look(commands: Commands) -> Look:
    found = await OpenChannels().look(commands, KEYS, CATALOGUE)
    assert found is not None
    return found


def opened(found: Look) -> list[tuple[str, int]]:
    return [(name, count) for name, (_target, count) in found.open.items()]


async def test_it_is_the_sum_of_all_processes_those_with_most_streams_first(
    commands: Commands, stored: Any
) -> None:
    assert await look(commands) == Look({}, {}, complete=True)
    process(stored, "a", {"news": 2, "room.1": 3, "room.*": 4, "hall.b": 5})
    process(stored, "b", {"news": 1, "room.1": 4, "hall.a": 5})
    found = await look(commands)
    assert found.fixed == {"news": 3, "quiet": 0, "room.*": 4}
    assert opened(found) == [("room.1", 7), ("hall.a", 5), ("hall.b", 5)]
    assert found.complete


async def test_what_the_catalogue_does_not_have_is_left_out(
    commands: Commands, stored: Any
) -> None:
    process(stored, "a", {"hall.*": 1, "of.another": 1, "relay:x": 1, "room.1": 0, "room.\xff": 1})
    stored.hset(KEYS.presence + "a", b"room.\xff\xfe", "1 []")
    stored.hset(KEYS.presence + "a", "room.2", "not a number")
    assert opened(await look(commands)) == [("room.\xff", 1)]


async def test_a_process_that_died_counts_nothing(commands: Commands, stored: Any) -> None:
    stored.zadd(KEYS.processes, {"gone": 1})
    process(stored, "a", {"room.1": 1})
    assert opened(await look(commands)) == [("room.1", 1)]


async def test_it_counts_ten_thousand_channels_and_says_that_there_are_more(
    commands: Commands, stored: Any
) -> None:
    process(stored, "a", {f"room.{n}": 1 for n in range(9_000)})
    process(stored, "b", {"news": 1, **{f"hall.{n}": 2 for n in range(9_000)}})
    process(stored, "c", {"news": 5, **{f"hall.{n}": 2 for n in range(100_000)}})
    stored.config_resetstat()
    found = await look(commands)
    assert not found.complete
    assert open_channels.MAX_CHANNELS <= len(found.open) < open_channels.MAX_CHANNELS + 1000
    assert found.fixed["news"] == 6  # those of exact names are always right
    calls = stored.info("commandstats")["cmdstat_hscan"]["calls"]
    assert calls <= open_channels.MAX_CHANNELS // open_channels.PART + 2


async def test_exactly_so_many_are_all(
    commands: Commands,
    stored: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process(stored, "a", {f"room.{n}": 1 for n in range(9)})
    monkeypatch.setattr(open_channels, "MAX_CHANNELS", 10)
    assert (await look(commands)).complete
    monkeypatch.setattr(open_channels, "MAX_PROCESSES", 1)
    process(stored, "b", {"room.1": 1})
    found = await look(commands)
    assert (opened(found)[0], found.complete) == (("room.0", 1), False)


async def test_requests_share_a_look(commands: Commands, stored: Any) -> None:
    process(stored, "a", {"room.1": 1})
    shared = OpenChannels()
    stored.config_resetstat()
    looks = [shared.look(commands, KEYS, CATALOGUE) for _ in range(50)]
    found = await asyncio.gather(*looks)
    assert {id(each) for each in found} == {id(found[0])}
    assert stored.info("commandstats")["cmdstat_hscan"]["calls"] == 1


async def test_a_look_is_for_one_catalogue_and_for_a_time(
    commands: Commands,
    stored: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process(stored, "a", {"room.1": 1})
    shared = OpenChannels()
    first = await shared.look(commands, KEYS, CATALOGUE)
    other = await shared.look(commands, KEYS, Catalogue([], "relay"))
    assert other == Look({}, {}, complete=True)
    monkeypatch.setattr(open_channels, "KEPT_SECONDS", 0.0)
    assert await shared.look(commands, KEYS, CATALOGUE) is not first


async def test_a_redis_that_is_away_or_refuses_is_not_asked_again_at_once(
    stored: Any,
    commands: Commands,
) -> None:
    process(stored, "a", {"room.1": 1})
    stored.execute_command("ACL", "SETUSER", "default", "-hscan")
    shared = OpenChannels()
    try:
        assert await shared.look(commands, KEYS, CATALOGUE) is None
    finally:
        stored.execute_command("ACL", "SETUSER", "default", "+hscan")
    assert await shared.look(commands, KEYS, CATALOGUE) is None
    away = ServerCommands(RedisAddress(f"redis://127.0.0.1:{free_port()}").client)
    assert await OpenChannels().look(away, KEYS, CATALOGUE) is None
    await away.aclose()


def test_any_event_loop_may_ask(stored: Any, server: RedisServer) -> None:
    process(stored, "a", {"room.1": 1})
    shared = OpenChannels()

    async def ask() -> Look | None:
        commands = ServerCommands(RedisAddress(server.url).client)
        try:
            return await shared.look(commands, KEYS, CATALOGUE)
        finally:
            await commands.aclose()

    first = asyncio.run(ask())
    assert first is not None
    assert asyncio.run(ask()) is first
