"""What stays in Redis of a channel that was left: little, unless it had messages."""

import pytest

from relay.broker.broker import Broker
from relay.broker.keys import Keys
from relay.source.epochs import FORGET_SECONDS, Epochs
from tests.support.client import ask
from tests.support.masters import only_master
from tests.support.servers import RedisServer, StartHub
from tests.support.waiting import wait_until

KEYS = Keys.of("relay", "room.1")


@pytest.mark.parametrize(("fields", "kept"), [({"t": "1"}, False), ({"t": "1", "e": "x"}, True)])
async def test_only_a_channel_with_messages_is_kept(
    redis_server: RedisServer, fields: dict[str, str], kept: bool
) -> None:
    broker = Broker(redis_server.url)
    epochs = Epochs(broker, KEYS)
    await epochs.open(only_master(broker), 0)
    with redis_server.client() as client:
        client.xadd(KEYS.history, fields, id="1-0")
        client.expire(KEYS.history, 86_400)
        await epochs.leave()
        assert (client.ttl(KEYS.history) > FORGET_SECONDS) is kept
        assert (client.ttl(KEYS.counter) > FORGET_SECONDS) is kept
    await broker.aclose()


async def test_a_channel_to_which_others_listen_is_kept(redis_server: RedisServer) -> None:
    broker = Broker(redis_server.url)
    epochs = Epochs(broker, KEYS)
    await epochs.open(only_master(broker), 0)
    with redis_server.client() as client:
        listening = [client.pubsub() for _ in range(2)]
        for each in listening:
            each.subscribe(KEYS.marker(""))
            each.get_message(timeout=5)
        await epochs.leave()
        assert client.ttl(KEYS.counter) > FORGET_SECONDS
        for each in listening:
            each.close()
    await broker.aclose()


def test_names_that_strangers_invent_are_forgotten(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_CHANNELS="rooms.*=public", RELAY_CHANNEL_IDLE_SECONDS=0)
    for n in range(20):
        assert ask(hub.url, f"/stream/?channel=rooms.{n}").status == 200
    with redis_server.client() as client:

        def forgotten() -> bool:
            keys = client.keys("relay:{rooms.*")
            return bool(keys) and all(0 < client.ttl(key) <= FORGET_SECONDS for key in keys)

        wait_until(forgotten, "each key expires soon")
