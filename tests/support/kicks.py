"""The kicks of one process, with streams that are none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from channels.layers import channel_layers

from relay.broker.address import RedisAddress
from relay.broker.commands import ServerCommands
from relay.broker.keys import HubKeys
from relay.broker.link import Link
from relay.control import kick_receiver, layer
from relay.control.kick_receiver import KickReceiver
from relay.control.kicks import akick
from relay.control.processes import Processes
from tests.support.servers import ROOT
from tests.support.waiting import at_most, until

KEYS = HubKeys("relay")
GROUP_KEY = "asgi:group:relay.control"


@dataclass(frozen=True)
class Owner:
    user: str = ""


@dataclass(eq=False)
class Fake:
    names: tuple[str, ...] = ("news",)
    owner: Owner = Owner()
    id: str = "0"


@dataclass
class Process:
    """A hub process in so far as kicks go; nobody but the channel layer calls its link."""

    link: Link = field(default_factory=Link)
    streams: set[Fake] = field(default_factory=set)
    ended: list[Fake] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.link.restored()

    def receiver(self, commands: ServerCommands) -> KickReceiver:
        self.kicks = KickReceiver(self, commands, KEYS, self.link, Processes(commands, KEYS))
        return self.kicks

    def end(self, stream: Fake) -> None:
        self.streams.discard(stream)
        self.ended.append(stream)

    def open(self, user: str = "", *names: str) -> Fake:
        stream = Fake(names or ("news",), Owner(user))
        self.streams.add(stream)
        return stream

    async def until_ended(self, *streams: Fake, seconds: float = 1.0) -> None:
        await until(lambda: set(streams) <= set(self.ended), at_most(seconds))
        assert len(self.ended) == len(set(self.ended)), "ended twice"

    async def until_looked(self) -> None:
        """Until every kick so far has been applied: one more is, which ends nothing but its own stream."""
        last = self.open("sentinel")
        await akick(user="sentinel")
        await self.until_ended(last)
        self.ended.remove(last)


@asynccontextmanager
async def running(
    url: str, renew_seconds: float = 30.0, member: bool = True
) -> AsyncIterator[Process]:
    """A process whose kicks are received; `member` waits until the group has it."""
    address, process = RedisAddress(url), Process()
    commands = ServerCommands(address.client)
    with (
        address.sync_client() as client,
        mock.patch.object(layer, "RENEW_SECONDS", renew_seconds),
        mock.patch.object(kick_receiver, "LOOK_SECONDS", renew_seconds),
    ):
        before = client.zcard(GROUP_KEY) if member else 0
        task = asyncio.create_task(process.receiver(commands).run())
        try:
            if member:
                await until(lambda: client.zcard(GROUP_KEY) > before)
            client.close()
            yield process
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await commands.aclose()


def layers(url: str) -> dict[str, Any]:
    backend = "channels_redis.core.RedisChannelLayer"
    return {"default": {"BACKEND": backend, "CONFIG": {"hosts": [url]}}}


async def close_shared_layer() -> None:
    await channel_layers["default"].close_pools()


def documented(page: str, begin: str) -> str:
    """The one line of an example that begins so."""
    text = (ROOT / "docs" / page).read_text()
    [line] = [line for line in text.splitlines() if line.strip().startswith(begin)]
    return line
