"""Keeps this process subscribed: connects, probes the connection, opens another beside a silent one."""

import asyncio
import logging
import random
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress

from relay.broker.address import RedisAddress
from relay.broker.commands import Commands
from relay.broker.errors import RedisUnavailable, SubscriptionRefused
from relay.broker.subscription import Names, Subscription
from relay.source.connection import Channel, Connection, Entered
from relay.source.refill import fill

logger = logging.getLogger("relay")

PING_SECONDS = 0.5
"""How often a connection is made to say something."""

PROBE_SECONDS = 1.0
"""How often a message is sent to this process itself."""

SILENCE_SECONDS = 2.0
"""Silence, or a probe that did not come back, after which a connection counts as lost."""

HANDOVER_SECONDS = 0.2
"""What a connection that is still open gets to deliver everything up to where the new one begins."""

BACKOFF_SECONDS = 0.05, 1.0
"""The first and the longest pause between two attempts, before jitter shortens it."""

AT_ONCE = 64
"""How many channels are entered at the same time."""


class Listener:
    """One connection that counts, for as long as the process lives.

    The log gets one warning when Redis goes and one line when it is back; a refusal (wrong password,
    missing right) is an error of its own, because only a person can mend it.
    """

    def __init__(self, address: RedisAddress, prefix: str, commands: Commands) -> None:
        self._address = address
        self._prefix = prefix
        self._commands = commands
        self._channels: dict[Channel, None] = {}
        self._connection: Connection | None = None
        self._paused = False
        self._lost_at: float | None = None
        self._refusals: set[str] = set()
        self._entering: set[asyncio.Task[None]] = set()
        self._entrance = asyncio.Semaphore(AT_ONCE)

    @property
    def live(self) -> bool:
        """Whether what is published reaches this process now, as far as it can know."""
        return self._connection is not None and self._lost_at is None

    def add(self, channel: Channel) -> None:
        """From now on, as soon as can be, the channel gets its messages."""
        self._channels[channel] = None
        if self._connection is not None and self._connection.open:
            self._enter_later(self._connection, [channel])

    def remove(self, channel: Channel) -> None:
        """The channel gets nothing more."""
        self._channels.pop(channel, None)
        connection = self._connection
        if connection is not None:
            connection.remove(channel)
            if connection.subscription:
                connection.subscription.unsubscribe(channel.names)

    def pause(self) -> None:
        """Stops reading until `resume`: for when messages come faster than they can be sent."""
        if self._connection and self._connection.subscription and not self._paused:
            self._paused = True
            self._connection.subscription.pause()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            if self._connection and self._connection.subscription:
                self._connection.subscription.resume()

    async def run(self) -> None:
        """Listens until it is cancelled."""
        try:
            while True:
                if self._connection is None or self._lost_at is not None:
                    await self._reconnect()
                else:
                    await self._watch(self._connection)
        finally:
            for task in self._entering:
                task.cancel()
            if self._connection:
                self._connection.abort("the hub stops")

    # -- entering channels

    def _enter_later(self, connection: Connection, channels: Sequence[Channel]) -> None:
        task = asyncio.create_task(self._enter_quietly(connection, channels))
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)

    async def _enter_quietly(self, connection: Connection, channels: Sequence[Channel]) -> None:
        """Until all are entered, or a new connection enters them.

        Whether this one is still good is for others to say: too much may be asked of it at once.
        """
        while channels and connection.open:
            async with self._entrance:  # so that none takes too long because of all the others
                entered = await self._try_to_enter(connection, channels)
            await self._take_over(connection, channels, None)
            channels = [c for c in channels if c in self._channels and not connection.has(c)]
            if not entered:
                await asyncio.sleep(BACKOFF_SECONDS[1])

    async def _try_to_enter(self, connection: Connection, channels: Sequence[Channel]) -> bool:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                refusals = await self._enter_what_may_be(connection, channels)
        except (OSError, TimeoutError):
            return False
        for refusal in refusals:
            self._refused(refusal)
        return not refusals

    async def _enter(self, connection: Connection, channels: Sequence[Channel]) -> None:
        """Subscribes, and waits until each channel has heard a marker, at the latest our own.

        Where there is no hole to be filled a channel is live as soon as it has; its history is written
        at once then, and not watched in vain until thousands of others have come as far.
        """
        assert connection.subscription is not None
        missing = [c for c in channels if c in self._channels and not connection.has(c)]
        entered = [connection.add(channel) for channel in missing]
        if entered:
            await connection.subscription.subscribe(_names(e.channel for e in entered))
        for first in range(0, len(entered), AT_ONCE):
            batch = entered[first : first + AT_ONCE]
            await asyncio.gather(*(self._mark(e) for e in batch))
            for e in batch:
                if connection.has(e.channel) and not e.channel.intake.is_held(e.session):
                    e.channel.on_live(e.alone)

    async def _enter_what_may_be(
        self, connection: Connection, channels: Sequence[Channel]
    ) -> list[SubscriptionRefused]:
        """Enters all but those that Redis denies; each of these has a refusal that names its entry."""
        try:
            await self._enter(connection, channels)
        except SubscriptionRefused as error:
            if len(channels) == 1:
                return [SubscriptionRefused(f"{channels[0].label}: {error}")]
        else:
            return []
        return [r for c in channels for r in await self._enter_what_may_be(connection, [c])]

    async def _mark(self, entered: Entered) -> None:
        channel = entered.channel
        try:
            heard = await channel.epochs.open(channel.feed.newest_epoch)
        except RedisUnavailable as error:
            kind = SubscriptionRefused if error.refused else ConnectionError
            raise kind(str(error)) from None
        entered.alone = heard <= 1
        await entered.session.marked.wait()

    async def _take_over(
        self, connection: Connection, channels: Iterable[Channel], old: Connection | None
    ) -> None:
        """Lets each session count, with the hole before it filled as far as can be."""
        held = [
            e for c in channels if (e := connection.entered.get(c)) and c.intake.is_held(e.session)
        ]
        if old and old.open and held:
            waits = [e.channel.intake.promoted.wait() for e in held]
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*waits), HANDOVER_SECONDS)
        if old:
            old.abort("another connection took over")
        await asyncio.gather(
            *(
                fill(c.feed, c.intake, e.session, c.history, alone=e.alone)
                for e in held
                if (c := e.channel).intake.is_held(e.session)
            )
        )
        for e in held:
            e.channel.on_live(e.alone)

    # -- a connection that is lost, or silent and perhaps not lost

    async def _reconnect(self) -> None:
        pause, longest_pause = BACKOFF_SECONDS
        while True:
            try:
                connection = await self._connect()
            except (OSError, TimeoutError) as error:
                self._lost(error)
            else:
                old, self._connection = self._connection, connection
                self._paused = False
                await self._take_over(connection, list(connection.entered), old)
                missing = [c for c in self._channels if not connection.has(c)]
                self._enter_later(connection, missing)
                self._live()
                return
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, longest_pause)
            if self._is_back():
                self._live()
                return

    async def _connect(self) -> Connection:
        connection = Connection(f"{self._prefix}:probe:{secrets.token_hex(8)}")
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                await self._commands.renew()
                connection.subscription = await self._address.connect(
                    Names([connection.probe_channel]), connection.receive
                )
            async with asyncio.timeout(SILENCE_SECONDS + len(self._channels) / 1000):
                refusals = await self._enter_what_may_be(connection, list(self._channels))
            if refusals and not any(connection.has(channel) for channel in self._channels):
                raise refusals[0]
        except BaseException:
            connection.abort("the attempt was given up")
            raise
        return connection

    def _is_back(self) -> bool:
        connection = self._connection
        return (
            connection is not None
            and connection.subscription is not None
            and connection.open
            and all(
                e.channel.intake.counts(e.session)
                for e in connection.entered.values()
                if connection.has(e.channel)
            )
            and connection.subscription.heard
        )

    # -- a connection that lives

    async def _watch(self, connection: Connection) -> None:
        """Returns when the connection has ended, or nothing comes back through it any more."""
        assert connection.subscription is not None
        pings = asyncio.create_task(self._pings(connection.subscription))
        probes = asyncio.create_task(self._probes(connection))
        watches: list[asyncio.Future[str]] = [connection.subscription.closed, pings, probes]
        try:
            done, _ = await asyncio.wait(watches, return_when=asyncio.FIRST_COMPLETED)
            self._lost(ConnectionError(done.pop().result()))
        finally:
            pings.cancel()
            probes.cancel()

    async def _pings(self, subscription: Subscription) -> str:
        """Makes the connection itself say something: finds a hung Redis and a half-open connection."""
        silent = 0.0
        while silent < SILENCE_SECONDS:
            subscription.heard = False
            subscription.ping()
            await asyncio.sleep(PING_SECONDS)
            silent = 0.0 if subscription.heard or self._paused else silent + PING_SECONDS
            for channel in [c for c in self._channels if c.intake.outdated]:
                await self._renew_epoch(channel)
        return f"no sign of life for {silent:g} s"

    async def _probes(self, connection: Connection) -> str:
        """Publishes to this process itself, each time from a new connection.

        Finds a master that was replaced and is left alone with its old connections.
        """
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            connection.probed.clear()
            before = connection.received
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    await self._address.publish(connection.probe_channel, b"")
            except (OSError, TimeoutError):
                continue  # no probe was sent; whether Redis is there is for the pings to say
            try:
                await asyncio.wait_for(connection.probed.wait(), SILENCE_SECONDS)
            except TimeoutError:
                if connection.received == before and not self._paused:
                    return "what is published no longer arrives"

    async def _renew_epoch(self, channel: Channel) -> None:
        try:
            await channel.epochs.open(channel.feed.newest_epoch)
            channel.intake.outdated = False
        except RedisUnavailable:
            pass  # the next ping tries again

    # -- what the operator is told

    def _live(self) -> None:
        self._refusals.clear()
        if self._lost_at is not None:
            away = asyncio.get_running_loop().time() - self._lost_at
            self._lost_at = None
            logger.info("Redis %s: back after %.1f s, live again", self._address.name, away)

    def _lost(self, error: Exception) -> None:
        if isinstance(error, SubscriptionRefused):
            self._refused(error)
        if self._lost_at is None:
            self._lost_at = asyncio.get_running_loop().time()
            logger.warning(
                "Redis %s: lost (%s). Streams stay open; reconnecting.",
                self._address.name,
                str(error) or "no answer",
            )

    def _refused(self, error: SubscriptionRefused) -> None:
        if str(error) not in self._refusals:
            self._refusals.add(str(error))
            logger.error(
                "Redis %s: %s. Check REDIS_URL and the ACL rights of its user"
                " (docs/operations.md); trying again until it works.",
                self._address.name,
                error,
            )


def _names(channels: Iterable[Channel]) -> Names:
    names = [channel.names for channel in channels]
    return Names(
        [name for each in names for name in each.channels],
        [name for each in names for name in each.patterns],
    )
