"""The gate: how often a connection for commands is attempted while Redis is away."""

import time

import pytest
from redis.exceptions import ConnectionError

from relay.broker import gate as gate_module
from relay.broker.broker import Broker
from relay.broker.errors import RedisUnavailable
from relay.broker.gate import Gate
from tests.support.forwarder import Forwarder
from tests.support.masters import only_master
from tests.support.servers import RedisServer


def test_an_open_gate_lets_all_through() -> None:
    gate = Gate()
    for _ in range(3):
        gate.enter()


def test_a_closed_gate_lets_one_through_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    gate = Gate()
    gate.close()
    gate.enter()
    for _ in range(3):
        with pytest.raises(ConnectionError, match="away"):
            gate.enter()
    now += gate_module.AWAY_SECONDS
    gate.enter()
    gate.passed()  # Redis is there, although it may deny the channels
    gate.enter()
    gate.open()
    gate.enter()
    gate.enter()


async def test_commands_of_a_lost_redis_fail_without_a_connection(
    redis_server: RedisServer,
) -> None:
    with Forwarder(1) as forwarder:
        master = only_master(Broker(forwarder.url))
        master.gate.close()
        for _ in range(5):
            with pytest.raises(RedisUnavailable) as raised:
                await master.commands.run("PING")
            assert not raised.value.refused
            await master.commands.renew()  # a fresh pool has the same gate
        assert forwarder.accepted == 1
        forwarder.target = redis_server.port
        master.gate.open()
        assert await master.commands.run("ECHO", "x") == b"x"
        await master.commands.aclose()
