"""Keeps this process subscribed to one master, through one connection after another."""

import asyncio
from collections.abc import Collection

from relay.broker.backoff import Backoff
from relay.broker.keys import HubKeys
from relay.broker.link import MasterLink
from relay.broker.master import Master
from relay.broker.outage import Outage
from relay.feed.context import Context
from relay.source.connection import Connection
from relay.source.connection_status import ConnectionStatus
from relay.source.entered import Channel
from relay.source.entrance import Entrance
from relay.source.handover import take_over
from relay.source.vitals import Vitals

CONNECT_SECONDS = 2.0
"""How long connecting may take, and how long entering its channels, plus a second for each thousand."""

BACKOFF_SECONDS = 0.05, 1.0
"""The first and the longest pause between two attempts."""


class Listener:
    """Listens to one master: connects, watches the connection, and opens another beside a silent one.

    It logs one warning when Redis is lost and one line when it is back. A refusal (wrong password,
    missing right) is an error of its own. It sets its link live or lost accordingly.
    """

    def __init__(self, context: Context, master: Master) -> None:
        self._context = context
        self._master = master
        self._link = MasterLink(context.link)
        self._keys = HubKeys(context.settings.prefix)
        self._channels: dict[Channel, None] = {}
        self._connection: Connection | None = None
        outage = Outage(
            "Redis %s: lost (%s). Streams stay open; reconnecting.",
            "Redis %s: back after %.1f s, live again",
        )
        self._status = ConnectionStatus(master.name, self._link, context.stats, outage)
        self._entrance = Entrance(self._channels, self._status.refusals)

    @property
    def master(self) -> Master:
        return self._master

    @property
    def live(self) -> bool:
        """Whether messages of the master arrive."""
        return self._link.live

    @property
    def unsettled(self) -> bool:
        """Whether its connection is lost, or another master is about to have some of its channels."""
        changes = self._connection is not None and self._connection.changes
        return self._link.interrupted or changes

    @property
    def channels(self) -> Collection[Channel]:
        """The channels that it listens to, or will when it is connected."""
        return self._channels.keys()

    def counts(self, channel: Channel) -> bool:
        """Whether the messages that it receives count for the channel."""
        return self._connection is not None and self._connection.counts(channel)

    def add(self, channel: Channel) -> None:
        """Begins delivery of the channel as soon as possible."""
        self._channels[channel] = None
        if self._connection is not None and self._connection.open:
            self._entrance.enter_later(self._connection, [channel])

    def remove(self, channel: Channel) -> None:
        """Ends delivery of the channel."""
        self._channels.pop(channel, None)
        if self._connection is not None:
            self._connection.remove(channel)

    def renew(self, channel: Channel) -> None:
        """Begins anew with a channel whose messages do not come, or do not count, any more.

        A connection that is lost is left alone, for the next one enters all channels.
        """
        connection = self._connection
        if connection is not None and not self._status.is_lost and connection.is_over(channel):
            self.remove(channel)
            self.add(channel)

    async def run(self) -> None:
        """Listens until cancelled."""
        try:
            while True:
                if self._connection is None or self._status.is_lost:
                    await self._reconnect()
                else:
                    await self._watch(self._connection)
        finally:
            self._entrance.close()
            self._link.end()
            self._context.backpressure.control(self, None)
            if self._connection:
                self._connection.abort("the hub stops")

    # -- a lost or silent connection

    async def _reconnect(self) -> None:
        """Returns when a new connection counts, or the old one delivers again."""
        backoff = Backoff(*BACKOFF_SECONDS)
        while True:
            try:
                connection = await self._connect()
            except OSError as error:
                self._lost(error)
            else:
                await self._change_to(connection)
                return
            await asyncio.sleep(backoff.next())
            if self._is_back():
                self._live()
                return

    async def _connect(self) -> Connection:
        """Opens a connection and enters the channels.

        Raises OSError, among others SubscriptionRefused when Redis denies every channel.
        """
        connection = Connection(self._master, self._keys, self._link)
        channels = list(self._channels)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._master.commands.renew()
                await connection.connect()
            self._master.gate.open()
            async with asyncio.timeout(CONNECT_SECONDS + len(channels) / 1000):
                refusals = await self._entrance.enter(connection, channels)
            if refusals and not any(connection.has(channel) for channel in self._channels):
                raise refusals[0]
        except BaseException:
            connection.abort("the attempt was given up")
            raise
        return connection

    async def _change_to(self, connection: Connection) -> None:
        old, self._connection = self._connection, connection
        self._count(old, connection)
        self._context.backpressure.control(self, connection.subscription)
        for channel in [c for c in connection.channels if c not in self._channels]:
            connection.remove(channel)  # it was left meanwhile
        await take_over(connection, list(connection.channels), old)
        missing = [channel for channel in self._channels if not connection.has(channel)]
        self._entrance.enter_later(connection, missing)
        self._entrance.enter_control(connection)
        self._live()

    def _count(self, old: Connection | None, new: Connection) -> None:
        if old is not None:
            self._context.stats.redis_reconnects += 1
            self._context.stats.redis_moves += new.subscription.server != old.subscription.server

    def _is_back(self) -> bool:
        """Whether the old connection delivers again and all of its messages count."""
        connection = self._connection
        return (
            connection is not None
            and connection.open
            and all(e.counts for e in connection.entered(connection.channels) if e.marked)
            and connection.subscription.heard
        )

    # -- a live connection

    async def _watch(self, connection: Connection) -> None:
        """Returns when the connection is lost."""
        stats = self._context.stats
        vitals = Vitals(
            connection, self._channels, self._context.backpressure, self._status.refusals, stats
        )
        self._lost(ConnectionError(await vitals.failure()))

    # -- reports to the operator

    def _live(self) -> None:
        self._master.gate.open()
        self._status.restored()

    def _lost(self, error: Exception) -> None:
        if self._status.lost(error):
            self._master.gate.close()
