"""How channels are entered on a connection."""

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from relay.broker.errors import RedisUnavailable
from relay.flag import Flag
from relay.source.connection import Connection
from relay.source.entered import Channel
from relay.source.entrance import Entrance
from relay.source.epochs import Opened
from relay.source.refusals import Refusals


class Asked:
    """A channel, its epochs, and what a connection has of it; Redis may refuse its epoch."""

    held = False

    def __init__(self, label: str, *, refused: bool = False) -> None:
        self.label = label
        self.channel = self.epochs = self
        self.feed = SimpleNamespace(timeline=SimpleNamespace(newest_epoch=0))
        self.session = SimpleNamespace(marked=Flag())
        self.lives = 0
        self._refused = refused

    async def open(self, master: object, known: int) -> Opened:
        await asyncio.sleep(0)
        if self._refused:
            raise RedisUnavailable("NOPERM", refused=True)
        self.session.marked.set()
        return Opened(1, first=True)

    def note_opened(self, opened: Opened) -> None:
        assert opened.alone

    def go_live(self) -> None:
        self.lives += 1


class Entering:
    """A connection that notes what is subscribed to together."""

    open = True
    master = None

    def __init__(self) -> None:
        self.subscribed: list[list[str]] = []

    def has(self, channel: Asked) -> bool:
        return bool(channel.session.marked.is_set())

    async def subscribe(self, channels: Iterable[Asked]) -> list[Asked]:
        entered = list(channels)
        if entered:
            self.subscribed.append([each.label for each in entered])
        return entered

    def entered(self, channels: Iterable[Asked]) -> list[Any]:
        return []


def enter(entrance: Entrance, connection: Entering, channel: Asked) -> None:
    entrance.enter_later(cast(Connection, connection), [cast(Channel, channel)])


def entrance_for(*channels: Asked) -> Entrance:
    return Entrance(cast(list[Channel], channels), Refusals("redis"))


async def test_channels_of_one_turn_of_the_event_loop_are_entered_together() -> None:
    a, b, c, d = channels = [Asked(label) for label in "abcd"]
    one, other = Entering(), Entering()
    entrance = entrance_for(*channels)
    for connection, channel in ((one, a), (other, c), (one, b)):
        enter(entrance, connection, channel)
    await asyncio.sleep(0)
    enter(entrance, one, d)
    await asyncio.sleep(0.01)
    assert one.subscribed == [["a", "b"], ["d"]]
    assert other.subscribed == [["c"]]
    assert [each.lives for each in channels] == [1, 1, 1, 1]


async def test_a_channel_that_redis_refuses_costs_those_beside_it_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    a, denied, c = channels = Asked("a"), Asked("denied", refused=True), Asked("c")
    entrance, connection = entrance_for(*channels), Entering()
    for channel in channels:
        enter(entrance, connection, channel)
    await asyncio.sleep(0.05)
    assert (a.lives, denied.lives, c.lives) == (1, 0, 1)
    [line] = [record.getMessage() for record in caplog.records]
    assert "denied: NOPERM" in line
    entrance.close()
