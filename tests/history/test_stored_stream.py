"""A Redis Stream as a past, with the scripts as each version of Redis runs them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import chain
from typing import Any

import pytest
import redis
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.broker.address import RedisAddress
from relay.broker.commands import ServerCommands
from relay.history import stored_stream
from relay.history.stored_stream import Extract, StoredStream
from relay.wire.position import Position
from tests.simulation.stored import StoredKey
from tests.support.random_steps import ON_A_SERVER
from tests.support.servers import RedisServer

START = Position(0, 0)


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


# -- the simulated key of test_stored_model.py

places = st.none() | st.tuples(st.integers(0, 300), st.integers(-1, 1))
"""Where to ask: at the entry of this number, before or after it; None for no position."""

numbers = st.sampled_from([1, 7, 16, 17, 65, 100])
sizes = st.sampled_from([1, 50, 1000, 100_000])
operations = st.one_of(
    st.tuples(st.just("add"), st.sampled_from([1, 20, 70]), st.none() | st.integers(1, 40)),
    st.tuples(st.just("add"), st.integers(1, 3), st.none()),
    st.tuples(st.just("trim"), st.integers(0, 20)),
    st.tuples(st.just("withdraw"), st.integers(0, 20)),
    st.tuples(st.just("withdraw"), st.integers(0, 2)),
    st.tuples(st.just("delete"), st.booleans()),
    st.tuples(st.just("read"), places, numbers, sizes),
    st.tuples(st.just("rewind"), places, numbers, sizes),
    st.tuples(st.just("range"), places, numbers),
)


class Both:
    """A simulated key and a real one, to which the same happens; what is asked is answered alike."""

    def __init__(self, client: "redis.Redis", script: Callable[..., Any]) -> None:
        self._client = client
        self._script = script
        self._simulated = StoredKey("s", lambda name: None, tells=tells(client))

    def do(self, name: str, *arguments: Any) -> None:
        getattr(self, f"_{name}")(*arguments)

    def _add(self, number: int, keep: int | None) -> None:
        for _ in range(number):
            payload = b"x" * (len(self._simulated.log) % 50)
            self._simulated.add(payload, keep)
            position = str(self._simulated.log[-1][0])
            self._client.xadd("s", {"data": payload}, position, maxlen=keep, approximate=False)

    def _trim(self, keep: int) -> None:
        self._simulated.trim(keep)
        self._client.xtrim("s", maxlen=keep, approximate=False)

    def _withdraw(self, place: int) -> None:
        found: Any = self._client.xrange("s")
        self._simulated.withdraw(place)
        if place < len(found):
            self._client.xdel("s", found[place][0])

    def _delete(self, smaller: bool) -> None:
        self._simulated.delete(smaller=smaller)
        self._client.delete("s")

    def _at(self, place: tuple[int, int] | None) -> Position | None:
        log = self._simulated.log
        if not place or not log:
            return None
        position, _ = log[place[0] % len(log)]
        return [position.predecessor, position, Position(position[0], position[1] + 1)][place[1]]

    def _read(self, place: tuple[int, int] | None, number: int, size: int) -> None:
        after = str(self._at(place) or "+")
        real = self._script("stream_read", after, number, size)
        assert self._simulated.read(after, number, size) == real

    def _rewind(self, place: tuple[int, int] | None, number: int, size: int) -> None:
        position = self._at(place)
        start = f"({position}" if position else "+"
        real = self._script("stream_rewind", start, number, size)
        assert self._simulated.rewind(start, number, size) == real

    def _range(self, place: tuple[int, int] | None, number: int) -> None:
        first = str(self._at(place) or START)
        found: Any = self._client.xrange("s", first, count=number)
        real = [[identity, list(chain(*fields.items()))] for identity, fields in found]
        assert self._simulated.range(first, number) == real


BEFORE_ALL = (0, -1)


@given(steps=st.lists(operations, max_size=25))
@example([("add", 70, None), ("rewind", None, 100, 1), ("read", BEFORE_ALL, 100, 1)])
@example([("add", 3, None), ("withdraw", 2), ("withdraw", 0), ("read", BEFORE_ALL, 1, 1)])
@settings(ON_A_SERVER, max_examples=100)
def test_the_simulated_key_does_what_redis_and_the_scripts_do(
    server: RedisServer, client: "redis.Redis", steps: list[tuple[Any, ...]]
) -> None:
    client.flushall()
    with asyncio.Runner() as runner:
        commands = ServerCommands(RedisAddress(server.url).client)
        both = Both(client, lambda name, *rest: runner.run(commands.script(name, ["s"], rest)))
        try:
            for step in steps:
                both.do(*step)
        finally:
            runner.run(commands.aclose())
