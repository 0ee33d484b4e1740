"""Keeps the stream channels of one master read, through one connection after another."""

import asyncio
import math
from collections import deque
from collections.abc import Collection

from relay.broker.backoff import Backoff
from relay.broker.keys import HubKeys
from relay.broker.link import MasterLink
from relay.broker.master import Master
from relay.broker.outage import Outage
from relay.feed.context import Context
from relay.source.connection_status import ConnectionStatus
from relay.source.tracked import StoredChannel
from relay.source.tracked_keys import TrackedKeys
from relay.source.vitals import Vitals

CONNECT_SECONDS = 2.0
"""How long connecting may take."""

BACKOFF_SECONDS = 0.05, 1.0
"""The first and the longest pause between two attempts."""

LOOK_SECONDS = 1.0
"""How often it looks at the keys that could not be read."""

ROUND_SECONDS = 60.0
"""How long it takes to look at each key once more. Nearly always that is in vain: see SWAPDB."""

AT_ONCE = 8
"""How many keys it looks at together, so that no entry waits for thousands of looks."""


class Tracker:
    """Tracks the keys of one master. A new connection goes on after what is in the feeds.

    It logs one warning when Redis is lost and one line when it is back, and sets its link accordingly.
    """

    def __init__(self, context: Context, master: Master) -> None:
        self._context = context
        self._master = master
        self._link = MasterLink(context.link)
        self._keys = HubKeys(context.settings.prefix)
        self._channels: dict[StoredChannel, None] = {}
        self._connection: TrackedKeys | None = None
        outage = Outage(
            "Redis %s: lost for stream channels (%s). Streams stay open; reconnecting.",
            "Redis %s: back for stream channels after %.1f s, live again",
        )
        self._status = ConnectionStatus(master.name, self._link, context.stats, outage)

    @property
    def master(self) -> Master:
        return self._master

    @property
    def channels(self) -> Collection[StoredChannel]:
        return self._channels.keys()

    @property
    def unsettled(self) -> bool:
        """Whether its connection is lost, or a key cannot be read at this time."""
        troubled = self._connection is not None and bool(self._connection.troubled)
        return self._link.interrupted or troubled

    def add(self, channel: StoredChannel) -> None:
        """Begins delivery of the channel as soon as possible."""
        self._channels[channel] = None
        if self._connection is not None:
            self._connection.add(channel)

    def remove(self, channel: StoredChannel) -> None:
        """Ends delivery of the channel."""
        self._channels.pop(channel, None)
        if self._connection is not None:
            self._connection.remove(channel)

    async def run(self) -> None:
        """Reads until cancelled."""
        try:
            while True:
                connection = await self._connect()
                self._connection = connection
                self._context.backpressure.control(self, connection.subscription)
                for channel in self._channels:
                    connection.add(channel)
                self._context.stats.redis_reconnects += self._status.restored()
                failure = await self._watch(connection)
                self._connection = None
                connection.abort("another connection takes over")
                self._status.lost(ConnectionError(failure))
        finally:
            self._link.end()
            self._context.backpressure.control(self, None)
            if self._connection is not None:
                self._connection.abort("the hub stops")

    async def _connect(self) -> TrackedKeys:
        """Returns a connection when one stands."""
        backoff = Backoff(*BACKOFF_SECONDS)
        while True:
            connection = TrackedKeys(self._master, self._keys, self._link, self._status.refusals)
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await connection.connect()
                return connection
            except OSError as error:
                connection.abort("the attempt was given up")
                self._status.lost(error)
            await asyncio.sleep(backoff.next())

    async def _watch(self, connection: TrackedKeys) -> str:
        """Returns the reason when the connection is lost."""
        context = self._context
        vitals = Vitals(connection, (), context.backpressure, self._status.refusals, context.stats)
        rounds = asyncio.create_task(self._rounds(connection))
        try:
            return await vitals.failure()
        finally:
            rounds.cancel()

    async def _rounds(self, connection: TrackedKeys) -> None:
        """Looks at every key now and then, and often at those that could not be read."""
        waiting: deque[StoredChannel] = deque()
        clock = self._context.clock.time
        troubled_at = clock()
        while True:
            all_keys = len(self._channels)
            pause = min(ROUND_SECONDS * AT_ONCE / max(all_keys, 1), LOOK_SECONDS)
            await asyncio.sleep(pause)
            if not waiting:
                waiting.extend(self._channels)
            number = min(math.ceil(all_keys * pause / ROUND_SECONDS), len(waiting))
            due = [waiting.popleft() for _ in range(number)]
            if clock() - troubled_at >= LOOK_SECONDS:
                troubled_at = clock()
                due += connection.troubled
            for channel in due:
                connection.look_again(channel)
