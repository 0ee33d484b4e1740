"""A request that is sent away counts by its reason, whichever part of the hub said no."""

from typing import Any, cast

import pytest

from relay import conf
from relay.broker.broker import Broker
from relay.clock import LoopClock
from relay.engine.hub import Hub
from relay.engine.stream import Admission, Full, Refusal
from relay.http import admission, consumer
from relay.http.consumer import StreamConsumer
from relay.stats import Stats

SCOPE = {
    "type": "http",
    "method": "GET",
    "headers": [(b"host", b"localhost")],
    "query_string": b"",
}


class StandIn:
    """As much of a hub as a refusal needs."""

    def __init__(self, reason: Refusal | None) -> None:
        self.settings = conf.load()
        self.catalogue = conf.load_catalogue()
        self.stats = Stats()
        self._reason = reason

    @property
    def streams(self) -> "StandIn":
        return self

    def check_room(self) -> None:
        assert self._reason is not None
        raise Full("There is no room.", self._reason)

    def refusal_retry(self) -> bytes:
        return b"retry: 1\n\n"


async def refused(monkeypatch: pytest.MonkeyPatch, hub: StandIn) -> dict[str, int]:
    monkeypatch.setattr(consumer, "get_hub", lambda: hub)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await StreamConsumer.as_asgi()(SCOPE, receive, send)
    assert sent[0]["status"] == 503
    assert hub.stats.streams_refused == 1
    return dict(hub.stats.refused)


@pytest.mark.parametrize("reason", Refusal)
async def test_a_limit_that_is_reached_is_the_reason(
    monkeypatch: pytest.MonkeyPatch, reason: Refusal
) -> None:
    assert await refused(monkeypatch, StandIn(reason)) == {reason: 1}


async def test_a_client_that_cannot_be_identified_is_a_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*words: object) -> None:
        raise LookupError("the database is away")

    monkeypatch.setattr(admission, "_admit", fail)
    assert await refused(monkeypatch, StandIn(None)) == {"unidentified": 1}


async def test_a_hub_that_stops_is_a_reason() -> None:
    hub = Hub(conf.load(), Broker("redis://127.0.0.1:1/0"), LoopClock())
    hub.end_streams()
    with pytest.raises(Full) as full:
        hub.check_room(cast(Admission, None))
    assert full.value.reason is Refusal.STOPPING
