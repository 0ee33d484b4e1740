"""Enters channels on a connection: subscribes, and waits until each has received a marker."""

import asyncio
from collections.abc import Container, Coroutine, Sequence

from relay.broker.errors import (
    NotMaster,
    Redirected,
    RedisUnavailable,
    SlotElsewhere,
    SubscriptionRefused,
)
from relay.source.connection import Connection
from relay.source.entered import Channel, Entered
from relay.source.handover import take_over
from relay.source.refusals import Refusals

AT_ONCE = 64
"""How many channels are entered concurrently."""

ENTER_SECONDS = 2.0
"""How long an attempt to enter may take."""

RETRY_SECONDS = 1.0


class Entrance:
    """Enters the channels in `wanted`, which are those of this process at any time; skips all others."""

    def __init__(self, wanted: Container[Channel], refusals: Refusals) -> None:
        self._wanted = wanted
        self._refusals = refusals
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: list[tuple[Connection, Channel]] = []

    async def enter(
        self, connection: Connection, channels: Sequence[Channel]
    ) -> list[SubscriptionRefused]:
        """Enters all channels but those that Redis denies. Returns a refusal for each denied one.

        A refusal names the channel's entry of the catalogue. Raises OSError when the connection fails.
        """
        try:
            await self._enter_all(connection, channels)
        except SlotElsewhere:
            if len(channels) == 1:
                _leave(connection, channels[0])
                return []
        except SubscriptionRefused as error:
            if len(channels) == 1:
                return [SubscriptionRefused(f"{channels[0].label}: {error}")]
        else:
            return []
        return [refusal for c in channels for refusal in await self.enter(connection, [c])]

    def enter_later(self, connection: Connection, channels: Sequence[Channel]) -> None:
        """Enters the channels in the background. Retries until all are entered.

        Those of one turn of the event loop are entered together.
        """
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._enter_waiting)
        self._waiting += [(connection, channel) for channel in channels]

    def enter_control(self, connection: Connection) -> None:
        """Subscribes to the control channel in the background. Retries until Redis allows it."""
        self._begin(self._enter_control(connection))

    def close(self) -> None:
        """Cancels the attempts that are under way."""
        for task in self._tasks:
            task.cancel()

    # -- in the background

    def _enter_waiting(self) -> None:
        waiting: dict[Connection, list[Channel]] = {}
        for connection, channel in self._waiting:
            waiting.setdefault(connection, []).append(channel)
        self._waiting = []
        for connection, channels in waiting.items():
            self._begin(self._enter_in_the_end(connection, channels))

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _enter_in_the_end(self, connection: Connection, channels: Sequence[Channel]) -> None:
        """Retries until every channel is entered or a newer connection takes over.

        A failure does not end the connection, which may just be overloaded. Its vitals decide that.
        """
        while channels and connection.open:
            async with (
                self._turn
            ):  # bounded, so that an attempt does not time out because of others
                entered = await self._try(connection, channels)
            await take_over(connection, channels, None)
            channels = self._missing(connection, channels)
            if not entered:
                await asyncio.sleep(RETRY_SECONDS)

    async def _try(self, connection: Connection, channels: Sequence[Channel]) -> bool:
        try:
            async with asyncio.timeout(ENTER_SECONDS):
                refusals = await self.enter(connection, channels)
        except NotMaster:
            connection.link.whole.doubt()
            return False
        except OSError:
            return False
        for refusal in refusals:
            self._refusals.report(refusal)
        return not refusals

    async def _enter_control(self, connection: Connection) -> None:
        while connection.open:
            try:
                async with asyncio.timeout(ENTER_SECONDS):
                    await connection.subscribe_to_control()
                return
            except SubscriptionRefused as error:
                self._refusals.report(error)
            except OSError:
                pass  # the vitals of the connection decide whether it still lives
            await asyncio.sleep(RETRY_SECONDS)

    # -- one attempt

    def _missing(self, connection: Connection, channels: Sequence[Channel]) -> list[Channel]:
        return [c for c in channels if c in self._wanted and not connection.has(c)]

    async def _enter_all(self, connection: Connection, channels: Sequence[Channel]) -> None:
        """Subscribes, and waits until each channel has received a marker, at the latest our own.

        A channel without a hole goes live once it has received its marker. So its history is written
        right away, and not after thousands of others have been entered.
        """
        entered = await connection.subscribe(self._missing(connection, channels))
        for first in range(0, len(entered), AT_ONCE):
            batch = entered[first : first + AT_ONCE]
            marks = (_mark(each, connection) for each in batch)
            failures = await asyncio.gather(*marks, return_exceptions=True)
            for each in batch:
                if connection.has(each.channel) and not each.held:
                    each.go_live()
            for failure in filter(None, failures):
                raise failure


def _leave(connection: Connection, channel: Channel) -> None:
    """Leaves a channel that another server has. The other channels of this one go on."""
    connection.remove(channel)
    connection.link.whole.doubt()


async def _mark(entered: Entered, connection: Connection) -> None:
    """Opens an epoch and waits for a marker. Leaves a channel that another server has."""
    channel = entered.channel
    try:
        newest = channel.feed.timeline.newest_epoch
        opened = await channel.epochs.open(connection.master, newest)
    except Redirected:
        _leave(connection, channel)
        return
    except RedisUnavailable as error:
        if error.refused:
            raise SubscriptionRefused(str(error)) from None
        raise
    entered.note_opened(opened)
    await entered.session.marked.wait()
