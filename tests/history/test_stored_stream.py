"""A Redis Stream as a past, with the scripts as each version of Redis runs them."""

from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from relay.broker.address import RedisAddress
from relay.broker.commands import ServerCommands
from relay.history import stored_stream
from relay.history.stored_stream import Extract, StoredStream
from relay.wire.position import Position
from tests.support.redis_versions import PROGRAMS, program
from tests.support.servers import RedisServer

START = Position(0, 0)


@pytest.fixture(params=PROGRAMS)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    server = RedisServer(program=program(request.param))
    yield server
    server.close()


@pytest.fixture
def client(server: RedisServer) -> Iterator["redis.Redis"]:
    with server.client() as client:
        yield client


@pytest.fixture
async def stream(server: RedisServer) -> AsyncIterator[StoredStream]:
    commands = ServerCommands(RedisAddress(server.url).client)
    yield StoredStream(commands, "s")
    await commands.aclose()


def tells(client: "redis.Redis") -> bool:
    """Whether this Redis says how many entries a stream ever had."""
    return tuple(map(int, client.info("server")["redis_version"].split(".")[:2])) >= (7, 0)


def ids(extract: Extract) -> list[str]:
    return [identity.decode() for identity, _ in extract.entries]


async def test_an_extract_tells_what_may_be_missing(
    stream: StoredStream, client: "redis.Redis"
) -> None:
    assert await stream.read(START, 9, 1000) == Extract("none")
    for ms in range(1, 8):
        client.xadd("s", {"data": str(ms)}, id=f"{ms}-0")
    extract = await stream.read(Position(5, 0), 9, 1000)
    assert ids(extract) == ["6-0", "7-0"]
    assert (extract.last, extract.length, extract.older, extract.same) == ((7, 0), 7, True, True)
    between = await stream.read(Position(5, 5), 9, 1000)
    assert (ids(between), between.older, between.same) == (["6-0", "7-0"], True, False)
    client.xtrim("s", maxlen=2, approximate=False)
    client.xdel("s", "6-0")
    trimmed = await stream.read(Position(3, 0), 9, 1000)
    assert (ids(trimmed), trimmed.length, trimmed.older) == (["7-0"], 1, False)
    if tells(client):
        assert (trimmed.added, trimmed.deleted) == (7, (6, 0))
    else:
        assert (trimmed.added, trimmed.deleted) == (None, None)
    client.set("s", "text")
    assert await stream.read(START, 9, 1000) == Extract("string")


async def test_an_extract_is_bounded_by_number_and_by_size(
    stream: StoredStream, client: "redis.Redis"
) -> None:
    for ms in range(1, 101):
        client.xadd("s", {"data": "x" * 1000}, id=f"{ms}-0")
    few = await stream.read(START, 30, 10**9)
    assert (len(few.entries), few.more) == (30, True)
    small = await stream.read(START, 100, 1)
    assert (len(small.entries), small.more) == (16, True)
    whole = await stream.read(Position(60, 0), 100, 10**9)
    assert (len(whole.entries), whole.more) == (40, False)


@pytest.mark.parametrize(("number", "first"), [(1, 250), (7, 244), (200, 51), (10_000, 1)])
async def test_it_goes_back_step_by_step(
    stream: StoredStream,
    client: "redis.Redis",
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    first: int,
) -> None:
    monkeypatch.setattr(stored_stream, "WALK_ENTRIES", 70)
    assert await stream.rewind(number) is None
    for ms in range(1, 251):
        client.xadd("s", {"data": "x"}, id=f"{ms}-0")
    assert await stream.rewind(number) == Position(first, 0).predecessor
