"""Liveness of a connection: finds one that is silent, half open, or at a replaced master."""

import asyncio
from collections.abc import Collection
from typing import Protocol

from relay.broker.errors import RedisUnavailable
from relay.broker.link import MasterLink
from relay.broker.master import Master
from relay.feed.backpressure import Backpressure
from relay.source.entered import Channel
from relay.source.refusals import Refusals
from relay.stats import Stats

PING_SECONDS = 0.5
"""How often the connection is pinged."""

PROBE_SECONDS = 1.0
"""The pause before each probe of a subscribed connection; a probe is a message to this process itself."""

SILENCE_SECONDS = 2.0
"""How long a silence, or the wait for a probe, lasts until the connection counts as lost."""


class Sign(Protocol):
    """The socket of a connection."""

    closed: asyncio.Future[str]
    heard: bool

    def ping(self) -> None: ...


class Watched(Protocol):
    """A connection that may have ended or gone silent."""

    master: Master
    link: MasterLink
    probe_channel: str
    probed: asyncio.Event
    """Set by every message on `probe_channel`."""
    received: int
    """The number of reads that held a message."""
    probe_seconds: float
    """The pause before each probe, which opens a connection of its own."""

    @property
    def subscription(self) -> Sign: ...


class Vitals:
    """Watches one connection. Silence while reading is paused does not count."""

    def __init__(
        self,
        connection: Watched,
        channels: Collection[Channel],
        backpressure: Backpressure,
        refusals: Refusals,
        stats: Stats,
    ) -> None:
        self._connection = connection
        self._channels = channels
        self._backpressure = backpressure
        self._refusals = refusals
        self._stats = stats

    async def failure(self) -> str:
        """Returns the reason when the connection has ended or no longer delivers."""
        pings = asyncio.create_task(self._pings())
        probes = asyncio.create_task(self._probes())
        signs: list[asyncio.Future[str]] = [self._connection.subscription.closed, pings, probes]
        try:
            done, _ = await asyncio.wait(signs, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            pings.cancel()
            probes.cancel()

    async def _pings(self) -> str:
        """Pings through the connection itself. Finds a hung Redis and a half-open connection.

        A subscription that is resumed counts as heard, so a pause that has just ended is no silence.
        Also opens a new epoch for each channel whose intake is outdated.
        """
        connection = self._connection
        subscription = connection.subscription
        silent = 0.0
        while silent < SILENCE_SECONDS:
            subscription.ping()
            await asyncio.sleep(PING_SECONDS)
            quiet = not subscription.heard and not self._backpressure.paused
            silent = silent + PING_SECONDS if quiet else 0.0
            if outdated := connection.link.whole.outdated:
                for channel in [c for c in self._channels if c.intake in outdated]:
                    await _renew_epoch(channel, connection.master)
        return f"no sign of life for {silent:g} s"

    async def _probes(self) -> str:
        """Publishes to this process itself, each time from a new connection.

        Finds a master that was replaced and keeps only its old connections.
        """
        connection, loop = self._connection, asyncio.get_running_loop()
        while True:
            await asyncio.sleep(connection.probe_seconds)
            connection.probed.clear()
            before, began = connection.received, loop.time()
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    await connection.master.address.probe(connection.probe_channel)
            except RedisUnavailable as error:
                self._refusals.report_probe(error)
                continue
            except OSError:
                continue  # no probe was sent; the pings find out whether Redis is there
            try:
                await asyncio.wait_for(connection.probed.wait(), SILENCE_SECONDS)
                self._stats.round_trip.observe(loop.time() - began)
            except TimeoutError:
                if connection.received == before and not self._backpressure.paused:
                    return "published messages no longer arrive"


async def _renew_epoch(channel: Channel, master: Master) -> None:
    try:
        await channel.epochs.open(master, channel.feed.timeline.newest_epoch)
        channel.intake.renewed()
    except RedisUnavailable:
        pass  # the next ping tries again
