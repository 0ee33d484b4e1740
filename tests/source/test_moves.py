"""A new connection to another server than the one before is a move."""

from typing import Any

from relay import conf
from relay.broker.address import RedisAddress
from relay.broker.broker import Broker
from relay.clock import LoopClock
from relay.engine.hub import Hub
from tests.support.forwarder import Forwarder
from tests.support.masters import only_master
from tests.support.servers import RedisServer
from tests.support.waiting import until


class Failover(RedisAddress):
    """An address whose name leads elsewhere after a failover."""

    def __init__(self, url: str, leads_to: RedisServer) -> None:
        super().__init__(url)
        self.leads_to = leads_to

    async def connect(self, *words: Any) -> Any:
        return await RedisAddress(self.leads_to.url).connect(*words)


class FailingOver(Broker):
    def __init__(self, forwarder: Forwarder, leads_to: RedisServer) -> None:
        super().__init__(forwarder.url)
        self.address = Failover(forwarder.url, leads_to)
        only_master(self).address = self.address


async def test_a_failover_is_a_move_and_a_broken_connection_is_none(
    redis_server: RedisServer,
) -> None:
    other = RedisServer()
    try:
        with Forwarder(redis_server.port) as forwarder:
            broker = FailingOver(forwarder, redis_server)
            hub = Hub(conf.load(), broker, LoopClock())
            hub.start()
            await until(lambda: hub.live)
            assert (hub.stats.redis_reconnects, hub.stats.redis_moves) == (0, 0)
            with redis_server.client() as client:
                client.client_kill_filter(_type="pubsub")
            await until(lambda: hub.stats.redis_reconnects == 1 and hub.live)
            assert hub.stats.redis_moves == 0
            broker.address.leads_to = other
            forwarder.target = other.port
            redis_server.kill()
            forwarder.reset()
            await until(lambda: hub.stats.redis_reconnects == 2 and hub.live, 10)
            assert hub.stats.redis_moves == 1
            assert hub.stats.redis_losses == 2
            await hub.stop()
    finally:
        other.close()
