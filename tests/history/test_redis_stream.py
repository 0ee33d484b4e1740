"""The history and its scripts on real servers; the simulated history of test_model.py does the same."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.broker.address import RedisAddress
from relay.broker.broker import Broker
from relay.broker.commands import ServerCommands
from relay.broker.errors import RedisUnavailable
from relay.broker.keys import Keys
from relay.feed.entries import Entry, Run
from relay.history.history import Appended, Page
from relay.history.redis_stream import RedisStream
from relay.source.epochs import Epochs
from relay.wire.position import Position
from tests.simulation.history import Stream, next_epoch
from tests.support.masters import only_master
from tests.support.random_steps import ON_A_SERVER
from tests.support.servers import RedisServer, free_port

KEYS = Keys.of("relay", "demo_stream")
SIZE = 8
SECONDS = 1000.0
EPOCH = 2_000_000_000_000_000
"""Later than any clock, so that epochs do not depend on the time of the test."""

NOW = time.time_ns() // 1_000_000
OLD = NOW - 5_000_000


@pytest.fixture
async def history(server: RedisServer, client: "redis.Redis") -> AsyncIterator[RedisStream]:
    commands = ServerCommands(RedisAddress(server.url).client)
    history = RedisStream(commands, KEYS, SIZE, SECONDS)
    yield history
    await commands.aclose()


def at(offset: int, epoch: int = EPOCH) -> Position:
    return Position(epoch, offset)


def run(first: Position, *events: bytes, previous: Position | None = None, ms: int = NOW) -> Run:
    return Run(first, previous, [(ms, event) for event in events])


def stored(client: "redis.Redis") -> dict[str, dict[str, str]]:
    """What stands in the stream, times left out."""
    found: Any = client.xrange(KEYS.history)
    return {
        i.decode(): {k.decode(): v.decode() for k, v in fields.items() if k != b"t"}
        for i, fields in found
    }


# -- append


async def test_a_boundary_and_its_messages_are_entries_with_their_positions_as_ids(
    history: RedisStream, client: "redis.Redis"
) -> None:
    appended = await history.append(run(at(0), b"", b"one", b"two"), force=True)
    assert appended == Appended(3, at(2))
    assert stored(client) == {
        f"{EPOCH}-0": {},
        f"{EPOCH}-1": {"e": "one"},
        f"{EPOCH}-2": {"e": "two"},
    }
    assert await history.newest() == at(2)
    assert await history.length() == 3


async def test_what_is_there_is_passed_over_and_what_follows_is_appended(
    history: RedisStream,
) -> None:
    await history.append(run(at(0), b"", b"one", b"two"), force=True)
    assert await history.append(run(at(1), b"one", b"two", b"three"), force=False) == Appended(
        1, at(3)
    )
    assert await history.append(run(at(1), b"one", b"two"), force=False) == Appended(0, at(3))
    assert [e.event for e in await history.read(at(0), 10, 1000)] == [
        None,
        b"one",
        b"two",
        b"three",
    ]


async def test_a_message_that_does_not_follow_is_refused_unless_it_is_forced_as_a_break(
    history: RedisStream, client: "redis.Redis"
) -> None:
    await history.append(run(at(0), b"", b"one"), force=True)
    late = run(at(3), b"three", b"four")
    assert await history.append(late, force=False) == Appended(0, at(1))
    assert await history.append(late, force=True) == Appended(2, at(4))
    assert stored(client)[f"{EPOCH}-3"] == {"e": "three", "b": "1"}
    assert stored(client)[f"{EPOCH}-4"] == {"e": "four"}


async def test_force_is_for_the_first_new_entry_alone(
    history: RedisStream, client: "redis.Redis"
) -> None:
    await history.append(run(at(0), b"", b"one"), force=True)
    assert await history.append(run(at(1), b"one", b"two"), force=True) == Appended(1, at(2))
    assert "b" not in stored(client)[f"{EPOCH}-2"]


async def test_a_boundary_is_linked_where_the_history_ends_at_what_came_before(
    history: RedisStream, client: "redis.Redis"
) -> None:
    await history.append(run(at(0), b"", b"one"), force=True)
    linked = run(at(0, EPOCH + 1), b"", b"two", previous=at(1))
    assert await history.append(linked, force=False) == Appended(2, at(1, EPOCH + 1))
    assert stored(client)[f"{EPOCH + 1}-0"] == {"p": f"{EPOCH}-1"}


@pytest.mark.parametrize("previous", [None, at(0), at(2)])
async def test_any_other_boundary_has_to_be_forced_and_is_not_linked(
    history: RedisStream, client: "redis.Redis", previous: Position | None
) -> None:
    await history.append(run(at(0), b"", b"one"), force=True)
    unlinked = run(at(0, EPOCH + 1), b"", b"two", previous=previous)
    assert await history.append(unlinked, force=False) == Appended(0, at(1))
    assert await history.append(unlinked, force=True) == Appended(2, at(1, EPOCH + 1))
    assert stored(client)[f"{EPOCH + 1}-0"] == {}


async def test_an_empty_history_takes_nothing_that_is_not_forced(history: RedisStream) -> None:
    assert await history.append(run(at(1), b"one"), force=False) == Appended(0, None)
    assert await history.append(run(at(0), b"", previous=at(5, 7)), force=False) == Appended(
        0, None
    )
    assert await history.newest() is None
    assert await history.length() == 0


async def test_an_older_epoch_is_passed_over(history: RedisStream) -> None:
    await history.append(run(at(0), b"", b"one"), force=True)
    assert await history.append(run(at(0, EPOCH - 1), b"", b"x"), force=True) == Appended(0, at(1))


async def test_the_history_is_bounded_in_length(history: RedisStream) -> None:
    events = [b"%d" % n for n in range(1, 20)]
    assert await history.append(run(at(0), b"", *events), force=True) == Appended(20, at(19))
    assert [e.position.offset for e in await history.read(at(0), 100, 10_000)] == list(
        range(12, 20)
    )


async def test_the_history_is_kept_for_a_while_after_the_last_new_entry(
    history: RedisStream, client: "redis.Redis"
) -> None:
    await history.append(run(at(0), b"", b"one"), force=True)
    assert SECONDS * 1000 - 5000 < client.pttl(KEYS.history) <= SECONDS * 1000
    client.pexpire(KEYS.history, 90_000)
    await history.append(run(at(1), b"one"), force=False)
    assert client.pttl(KEYS.history) <= 90_000
    await history.append(run(at(2), b"two"), force=False)
    assert client.pttl(KEYS.history) > 90_000


async def test_a_server_that_forgot_the_scripts_is_sent_them_again(
    history: RedisStream, client: "redis.Redis"
) -> None:
    await history.append(run(at(0), b"", b"one"), force=True)
    client.script_flush()
    assert await history.append(run(at(2), b"two"), force=False) == Appended(1, at(2))


# -- read


async def test_entries_are_read_from_a_position_on(history: RedisStream) -> None:
    await history.append(run(at(0), b"", b"one", ms=5), force=True)
    await history.append(run(at(0, EPOCH + 1), b"", b"two", previous=at(1), ms=6), force=False)
    assert await history.read(at(1), 10, 1000) == [
        Entry(at(1), b"one", None, 5),
        Entry(at(0, EPOCH + 1), None, at(1), 6),
        Entry(at(1, EPOCH + 1), b"two", None, 6),
    ]
    assert await history.read(at(1), 2, 1000) == (await history.read(at(1), 10, 1000))[:2]
    assert await history.read(at(2, EPOCH + 1), 10, 1000) == []


async def test_a_read_ends_after_the_entry_that_reaches_the_bytes_but_has_one(
    history: RedisStream,
) -> None:
    await history.append(run(at(0), b"", *[b"x" * 100] * 5, ms=5), force=True)
    size = 64 + len("t" + "5" + "e") + 100
    for size_bytes, expected in [(1, 1), (size, 1), (size + 1, 2), (2 * size, 2), (9999, 5)]:
        assert len(await history.read(at(1), 100, size_bytes)) == expected


# -- pages, from the newest back


def offsets(page: Page) -> list[int]:
    return [entry.position.offset for entry in page.entries]


async def test_pages_are_read_back_from_the_newest_until_nothing_is_left(
    history: RedisStream,
) -> None:
    await history.append(run(at(0), b"", *[b"%d" % n for n in range(1, 6)]), force=True)
    newest = await history.page(None, 2, 1000)
    assert (offsets(newest), newest.follower, newest.more) == ([4, 5], None, True)
    second = await history.page(at(4), 2, 1000)
    assert (offsets(second), second.more) == ([2, 3], True)
    assert second.follower is not None
    assert second.follower.position == at(4)
    last = await history.page(at(2), 2, 1000)
    assert (offsets(last), last.more) == ([0, 1], False)  # the boundary is no older message
    assert await history.page(at(1), 2, 1000) == await history.page(at(1), 1, 1)
    assert (await history.page(at(0), 2, 1000)).entries == []


async def test_a_page_holds_the_boundaries_between_its_messages(history: RedisStream) -> None:
    await history.append(run(at(0), b"", b"a"), force=True)
    await history.append(run(at(0, EPOCH + 1), b"", previous=at(1)), force=False)
    await history.append(run(at(0, EPOCH + 2), b"", b"b"), force=True)
    boundaries = [at(0, EPOCH + 1), at(0, EPOCH + 2)]
    page = await history.page(None, 2, 1000)
    assert [e.position for e in page.entries] == [at(1), *boundaries, at(1, EPOCH + 2)]
    assert not page.more
    page = await history.page(None, 1, 1000)
    assert ([e.position for e in page.entries], page.more) == ([at(1, EPOCH + 2)], True)
    page = await history.page(at(1, EPOCH + 2), 1, 1000)
    assert [e.position for e in page.entries] == [at(1), *boundaries]
    assert not page.more


async def test_a_page_ends_after_the_message_that_reaches_the_bytes_but_has_one(
    history: RedisStream,
) -> None:
    await history.append(run(at(0), b"", *[b"x" * 100] * 5, ms=5), force=True)
    size = 64 + len("t" + "5" + "e") + 100
    for size_bytes, expected in [(1, 1), (size, 1), (size + 1, 2), (2 * size, 2), (9999, 5)]:
        page = await history.page(None, 100, size_bytes)
        assert len([e for e in page.entries if e.event]) == expected
        assert page.more == (expected < 5)


async def test_a_page_never_passes_over_more_boundaries_than_a_thousand(
    history: RedisStream, client: "redis.Redis"
) -> None:
    client.xadd(KEYS.history, {"t": 1, "e": "old"}, id=str(at(1)))
    for n in range(1, 1500):
        client.xadd(KEYS.history, {"t": 1}, id=str(at(0, EPOCH + n)))
    page = await history.page(None, 1, 1000)
    assert (1000 <= len(page.entries) <= 1016, page.more) == (True, True)
    again = await history.page(page.entries[0].position, 1, 1000)
    assert (again.entries[0].event, again.more) == (b"old", False)


async def test_a_position_that_is_not_kept_has_the_next_one_as_its_follower(
    history: RedisStream,
) -> None:
    assert await history.page(at(7), 5, 1000) == Page([], None, more=False)
    await history.append(run(at(0), b"", b"1", b"2"), force=True)
    await history.append(run(at(5), b"5"), force=True)
    page = await history.page(at(4), 5, 1000)
    assert offsets(page) == [0, 1, 2]
    assert page.follower is not None
    assert page.follower.position == at(5)
    assert (await history.page(at(6), 5, 1000)).follower is None
    assert offsets(await history.page(at(0, EPOCH + 9), 1, 1000)) == [5]


# -- trim, rewind, since


async def test_old_entries_are_trimmed_up_to_the_first_that_is_young(history: RedisStream) -> None:
    await history.append(run(at(0), b"", b"one", ms=OLD), force=True)
    await history.append(run(at(2), b"two", ms=NOW), force=False)
    await history.append(run(at(3), b"three", ms=OLD), force=False)
    await history.trim()
    assert [e.position for e in await history.read(at(0), 10, 1000)] == [at(2), at(3)]


async def test_the_newest_entry_is_never_trimmed(history: RedisStream) -> None:
    await history.append(run(at(0), b"", b"one", b"two", ms=OLD), force=True)
    await history.trim()
    await history.trim()
    assert [e.position for e in await history.read(at(0), 10, 1000)] == [at(2)]
    assert await history.append(run(at(3), b"three"), force=False) == Appended(1, at(3))


async def test_thousands_of_old_entries_are_trimmed_at_once(
    server: RedisServer, client: "redis.Redis"
) -> None:
    commands = ServerCommands(RedisAddress(server.url).client)
    history = RedisStream(commands, KEYS, 10_000, SECONDS)
    await history.append(run(at(0), b"", *[b"x"] * 2499, ms=OLD), force=True)
    await history.trim()
    assert await history.length() == 1
    await commands.aclose()


async def test_the_last_messages_are_found_across_boundaries(history: RedisStream) -> None:
    await history.append(run(at(0), b"", b"1", b"2"), force=True)
    await history.append(run(at(0, EPOCH + 1), b"", previous=at(2)), force=False)
    await history.append(run(at(0, EPOCH + 2), b"", b"3", previous=at(0, EPOCH + 1)), force=False)
    assert await history.rewind(0) == (None, 0)
    assert await history.rewind(1) == (at(1, EPOCH + 2), 1)
    assert await history.rewind(2) == (at(2), 2)
    assert await history.rewind(3) == (at(1), 3)
    assert await history.rewind(1000) == (at(1), 3)


async def test_a_time_is_found_at_its_edges_in_several_epochs(history: RedisStream) -> None:
    assert await history.since(0) == (None, False)
    await history.append(run(at(0), b"", b"a", ms=10), force=True)
    await history.append(run(at(2), b"b", ms=20), force=False)
    await history.append(run(at(0, EPOCH + 1), b"", b"c", previous=at(2), ms=30), force=False)
    await history.append(run(at(2, EPOCH + 1), b"d", ms=40), force=False)
    expected = {
        9: (at(0), False),
        10: (at(0), False),
        11: (at(2), True),
        20: (at(2), True),
        21: (at(0, EPOCH + 1), True),
        30: (at(0, EPOCH + 1), True),
        31: (at(2, EPOCH + 1), True),
        40: (at(2, EPOCH + 1), True),
        41: (None, True),
    }
    assert {ms: await history.since(ms) for ms in expected} == expected


# -- refusals


async def test_an_append_that_redis_refuses_raises_and_reading_goes_on(
    history: RedisStream, refuse: Callable[[], None]
) -> None:
    await history.append(run(at(0), b"", b"one"), force=True)
    refuse()
    with pytest.raises(RedisUnavailable, match="Redis refused") as raised:
        await history.append(run(at(2), b"two"), force=False)
    assert raised.value.refused
    assert await history.append(run(at(1), b"one"), force=False) == Appended(0, at(1))
    assert await history.newest() == at(1)
    assert await history.rewind(5) == (at(1), 1)
    assert await history.since(NOW) == (at(0), False)
    assert [e.position for e in await history.read(at(0), 10, 1000)] == [at(0), at(1)]


async def test_without_a_server_every_method_raises_redis_unavailable() -> None:
    commands = ServerCommands(RedisAddress(f"redis://127.0.0.1:{free_port()}").client)
    history = RedisStream(commands, KEYS, SIZE, SECONDS)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: history.append(run(at(0), b""), force=True),
        history.newest,
        history.length,
        lambda: history.read(at(0), 1, 1),
        lambda: history.page(None, 1, 1),
        history.trim,
        lambda: history.rewind(1),
        lambda: history.since(0),
    ]
    for call in calls:
        with pytest.raises(RedisUnavailable) as raised:
            await call()
        assert not raised.value.refused
    await commands.aclose()


# -- the simulated history is the same


class Simulated:
    """The history of the simulation, with the counter beside it."""

    def __init__(self) -> None:
        self.stream = Stream(lambda: time.time_ns() // 1_000_000)
        self.counter: int | None = EPOCH

    def append(self, run: Run, force: bool) -> Appended:
        return self.stream.append(run, force=force, size=SIZE, keep_ms=round(SECONDS * 1000))

    def open_epoch(self, known: int) -> int:
        self.counter = next_epoch(NOW * 1000, known, self.counter, self.stream.newest())
        return self.counter


class Real:
    def __init__(self, broker: Broker, client: "redis.Redis", runner: asyncio.Runner) -> None:
        self.history = RedisStream(broker.commands, KEYS, SIZE, SECONDS)
        self.epochs = Epochs(broker, KEYS)
        self.master = only_master(broker)
        self.client = client
        self.run = runner.run

    def open_epoch(self, known: int) -> int:
        self.run(self.epochs.open(self.master, known))
        return int(self.client.get(KEYS.counter) or 0)


positions = st.builds(Position, st.integers(EPOCH, EPOCH + 2), st.integers(0, 6))
times = st.sampled_from([OLD, OLD + 1, OLD + 2, NOW, NOW + 1, NOW + 2])
events = st.sampled_from([b"", b"x", b"y" * 40])
runs = st.builds(
    lambda first, previous, entries: Run(first, previous if first.offset == 0 else None, entries),
    positions,
    st.none() | positions,
    st.lists(st.tuples(times, events), min_size=1, max_size=6),
)
operations = st.one_of(
    st.tuples(st.just("append"), runs, st.booleans()),
    st.tuples(st.just("append"), runs, st.booleans()),
    st.tuples(st.just("read"), positions, st.integers(1, 40), st.integers(1, 800)),
    st.tuples(st.just("rewind"), st.integers(0, 9)),
    st.tuples(st.just("since"), times),
    st.tuples(st.just("open_epoch"), st.sampled_from([0, EPOCH, EPOCH + 1, EPOCH + 5])),
    st.tuples(st.sampled_from(["trim", "delete", "lose_counter"])),
    st.tuples(st.just("lose_head"), st.integers(1, 3)),
)


def on_real(real: Real, name: str, arguments: tuple[Any, ...]) -> object:
    match name:
        case "append":
            return real.run(real.history.append(arguments[0], force=arguments[1]))
        case "open_epoch":
            return real.open_epoch(*arguments)
        case "delete":
            real.client.delete(KEYS.history)
        case "lose_counter":
            real.client.set(KEYS.counter, EPOCH)
        case "lose_head":
            kept = max(real.client.xlen(KEYS.history) - arguments[0], 0)
            real.client.xtrim(KEYS.history, maxlen=kept, approximate=False)
        case _:
            return real.run(getattr(real.history, name)(*arguments))
    return None


def on_simulated(simulated: Simulated, name: str, arguments: tuple[Any, ...]) -> object:
    match name:
        case "append" | "open_epoch":
            return getattr(simulated, name)(*arguments)
        case "lose_counter":
            simulated.counter = EPOCH
        case "trim":
            simulated.stream.trim(round(SECONDS * 1000))
        case _:
            return getattr(simulated.stream, name)(*arguments)
    return None


@contextmanager
def closing_broker(broker: Broker, runner: asyncio.Runner) -> Iterator[Broker]:
    try:
        yield broker
    finally:
        runner.run(broker.aclose())


@given(steps=st.lists(operations, max_size=25))
@example(
    [  # a break in the middle of an epoch: what is missing counts
        ("append", run(at(0), b""), True),
        ("append", run(at(2), b"two"), True),
        ("rewind", 2),
    ]
)
@settings(ON_A_SERVER, max_examples=150)
def test_the_simulated_history_does_what_the_scripts_do(
    server: RedisServer, client: "redis.Redis", steps: list[tuple[Any, ...]]
) -> None:
    client.flushall()
    client.set(KEYS.counter, EPOCH)
    simulated = Simulated()
    with asyncio.Runner() as runner, closing_broker(Broker(server.url), runner) as broker:
        real = Real(broker, client, runner)
        history = real.history
        for name, *arguments in steps:
            expected = on_real(real, name, tuple(arguments))
            assert on_simulated(simulated, name, tuple(arguments)) == expected, name
            assert simulated.stream.newest() == runner.run(history.newest())
        assert simulated.stream.entries == runner.run(history.read(at(0), 1000, 100_000))
        broken = {Position.parse(i) for i, fields in stored(client).items() if "b" in fields}
        assert simulated.stream.breaks & {e.position for e in simulated.stream.entries} == broken


async def test_a_rewind_of_any_length_reads_two_entries_of_each_epoch(
    history: RedisStream, client: "redis.Redis"
) -> None:
    for n in range(1, 2001):
        client.xadd(KEYS.history, {"t": "1", "e": "x"}, id=f"{EPOCH}-{n}")
    for number, found in ((1500, at(501)), (999_999_999, at(1))):
        client.config_resetstat()
        assert await history.rewind(number) == (found, min(number, 2000))
        calls = client.info("commandstats")
        reads = sum(
            calls.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("xrange", "xrevrange")
        )
        assert reads <= 5
