"""How channels are entered on a connection."""

import asyncio
from collections.abc import Iterable
from typing import cast

from relay.source.connection import Connection
from relay.source.entered import Channel, Entered
from relay.source.entrance import Entrance
from relay.source.refusals import Refusals


class Entering:
    """A connection that notes what is subscribed to together, and has it at once."""

    open = True

    def __init__(self) -> None:
        self.subscribed: list[list[Channel]] = []

    def has(self, channel: Channel) -> bool:
        return any(channel in together for together in self.subscribed)

    async def subscribe(self, channels: Iterable[Channel]) -> list[Entered]:
        self.subscribed.append(list(channels))
        return []

    def entered(self, channels: Iterable[Channel]) -> list[Entered]:
        return []


async def test_channels_of_one_turn_of_the_event_loop_are_entered_together() -> None:
    first, second, third = channels = [cast(Channel, name) for name in ("a", "b", "c")]
    one, other = Entering(), Entering()
    entrance = Entrance(channels, Refusals("redis"))
    for connection, channel in ((one, first), (other, third), (one, second)):
        entrance.enter_later(cast(Connection, connection), [channel])
    await asyncio.sleep(0)
    entrance.enter_later(cast(Connection, one), [third])
    await asyncio.sleep(0.01)
    assert one.subscribed == [[first, second], [third]]
    assert other.subscribed == [[third]]
