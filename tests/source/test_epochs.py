"""Epochs on a real Redis: each is above all that were before, also where Redis refuses to write."""

import time
from collections.abc import AsyncIterator, Callable

import pytest
import redis

from relay.broker.broker import Broker
from relay.broker.commands import Commands
from relay.broker.errors import RedisUnavailable
from relay.broker.keys import Keys
from relay.feed.entries import Run
from relay.history.redis_stream import RedisStream
from relay.source.epochs import Epochs, Opened
from relay.wire.position import Position
from tests.support.masters import only_master
from tests.support.servers import RedisServer, free_port

KEYS = Keys.of("relay", "demo_stream")
EPOCH = 2_000_000_000_000_000
"""Later than any clock, so that epochs do not depend on the time of the test."""


class Opener:
    """Opens epochs of one channel at one Redis."""

    def __init__(self, url: str) -> None:
        self.broker = Broker(url)
        self._epochs = Epochs(self.broker, KEYS)

    async def open(self, known: int) -> Opened:
        return await self._epochs.open(only_master(self.broker), known)


@pytest.fixture
async def epochs(server: RedisServer, client: "redis.Redis") -> AsyncIterator[Opener]:
    opener = Opener(server.url)
    yield opener
    await opener.broker.aclose()


@pytest.fixture
def commands(epochs: Opener) -> Commands:
    return epochs.broker.commands


async def append_boundary(commands: Commands, epoch: int) -> None:
    history = RedisStream(commands, KEYS, 8, 1000.0)
    await history.append(Run(Position(epoch, 0), None, [(0, b"")]), force=True)


async def heard(epochs: Opener, client: "redis.Redis", *known: int) -> list[int]:
    """The messages that one subscriber of the marker channel receives."""
    with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe(KEYS.marker(""))
        pubsub.get_message(timeout=5)
        markers = []
        for number in known:
            assert (await epochs.open(number)).alone
            message = pubsub.get_message(timeout=5)
            assert message is not None
            markers.append(int(message["data"]))
        return markers


async def test_an_epoch_is_the_time_where_nothing_is_greater(
    epochs: Opener, client: "redis.Redis"
) -> None:
    before = time.time_ns() // 1000
    (epoch,) = await heard(epochs, client, 0)
    assert before - 1000 <= epoch <= time.time_ns() // 1000 + 1000
    assert client.get(KEYS.counter) == b"%d" % epoch


async def test_an_epoch_is_above_the_counter_the_history_and_what_is_known(
    epochs: Opener, commands: Commands, client: "redis.Redis"
) -> None:
    assert await heard(epochs, client, EPOCH) == [EPOCH + 1]
    assert await heard(epochs, client, 0, EPOCH, EPOCH + 9) == [EPOCH + 2, EPOCH + 3, EPOCH + 10]
    await append_boundary(commands, EPOCH + 20)
    assert await heard(epochs, client, 0) == [EPOCH + 21]
    client.delete(KEYS.counter)
    assert await heard(epochs, client, 0) == [EPOCH + 21]


async def test_an_epoch_without_subscribers_has_no_receivers(epochs: Opener) -> None:
    assert await epochs.open(0) == Opened(0, first=True)


async def test_the_first_epoch_is_the_one_before_which_nobody_knows_another(
    epochs: Opener, commands: Commands, client: "redis.Redis"
) -> None:
    opened = [await epochs.open(0), await epochs.open(0)]
    client.delete(KEYS.counter)
    opened.append(await epochs.open(EPOCH))
    client.delete(KEYS.counter)
    await append_boundary(commands, EPOCH)
    opened.append(await epochs.open(0))
    assert [each.first for each in opened] == [True, False, False, False]


async def test_each_process_that_has_a_channel_receives_a_marker(
    epochs: Opener, client: "redis.Redis"
) -> None:
    with client.pubsub() as one, client.pubsub() as other:
        for pubsub in (one, other):
            pubsub.subscribe(KEYS.marker(""))
            pubsub.get_message(timeout=5)
        opened = await epochs.open(0)
    assert opened == Opened(2, first=True)
    assert not opened.alone


async def test_where_redis_refuses_to_write_epochs_still_begin_and_grow(
    epochs: Opener, commands: Commands, client: "redis.Redis", refuse: Callable[[], None]
) -> None:
    await append_boundary(commands, EPOCH)
    client.set(KEYS.counter, EPOCH + 3)
    refuse()
    assert await heard(epochs, client, 0, EPOCH + 4) == [EPOCH + 4, EPOCH + 5]
    assert client.get(KEYS.counter) == b"%d" % (EPOCH + 3)


async def test_without_a_server_it_raises_redis_unavailable() -> None:
    opener = Opener(f"redis://127.0.0.1:{free_port()}")
    with pytest.raises(RedisUnavailable) as raised:
        await opener.open(0)
    assert not raised.value.refused
    await opener.broker.aclose()
