"""Keeps this process subscribed: connects, probes the connection, opens another beside a silent one."""

import asyncio
import logging
import random
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from relay.feed import Feed
from relay.history import History, HistoryUnavailable
from relay.intake import Intake, Session
from relay.keys import Keys
from relay.rejoin import fill
from relay.subscription import RedisAddress, Subscription, SubscriptionRefused

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


@dataclass(slots=True)
class Connection:
    """A subscribed connection and what it brings."""

    session: Session
    subscription: Subscription
    alone: bool = False
    """No other hub process heard its marker."""


class Listener:
    """One connection that counts, for as long as the process lives.

    The log gets one warning when Redis goes and one line when it is back; a refusal (wrong password,
    missing right) is an error of its own, because only a person can mend it.
    """

    def __init__(
        self,
        address: RedisAddress,
        keys: Keys,
        feed: Feed,
        intake: Intake,
        log: History,
        on_live: Callable[[bool], None],
        *,
        filling: bool,
    ) -> None:
        """`on_live(alone)` is called when a new connection counts."""
        self._address = address
        self._keys = keys
        self._feed = feed
        self._intake = intake
        self._log = log
        self._on_live = on_live
        self._filling = filling
        self._connection: Connection | None = None
        self._paused = False
        self._lost_at: float | None = None
        self._refusal = ""

    @property
    def live(self) -> bool:
        """Whether what is published reaches this process now, as far as it can know."""
        return self._connection is not None and self._lost_at is None

    def pause(self) -> None:
        """Stops reading until `resume`: for when messages come faster than they can be sent."""
        if self._connection and not self._paused:
            self._paused = True
            self._connection.subscription.pause()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            if self._connection:
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
            if self._connection:
                self._connection.subscription.abort("the hub stops")

    # -- a connection that is lost, or silent and perhaps not lost

    async def _reconnect(self) -> None:
        pause, longest_pause = BACKOFF_SECONDS
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    connection = await self._connect()
            except (OSError, TimeoutError) as error:
                self._lost(error)
            else:
                await self._take_over(connection)
                self._live()
                self._on_live(connection.alone)
                return
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, longest_pause)
            if self._is_back():
                self._live()
                return

    async def _connect(self) -> Connection:
        """A connection that is subscribed and has heard a marker, at the latest its own."""
        session = Session(f"{self._keys.prefix}:probe:{secrets.token_hex(8)}")
        channels = [self._feed.channel, self._keys.marker, session.probe_channel]
        receive = partial(self._intake.take, session)
        subscription = await self._address.subscribe(channels, receive)
        connection = Connection(session, subscription)
        try:
            connection.alone = await self._open_epoch() <= 1
            await session.marked.wait()
        except BaseException:
            self._intake.drop(session)
            subscription.abort("the attempt was given up")
            raise
        return connection

    async def _open_epoch(self) -> int:
        try:
            return await self._log.open_epoch(self._feed.newest_epoch)
        except HistoryUnavailable as error:
            kind = SubscriptionRefused if error.refused else ConnectionError
            raise kind(str(error)) from None

    async def _take_over(self, connection: Connection) -> None:
        old, self._connection = self._connection, connection
        self._paused = False
        if old and self._intake.is_held(connection.session) and not old.subscription.closed.done():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._intake.promoted.wait(), HANDOVER_SECONDS)
        if old:
            self._intake.drop(old.session)
            old.subscription.abort("another connection took over")
        if self._intake.is_held(connection.session):
            log = self._log if self._filling else None
            await fill(self._feed, self._intake, connection.session, log, alone=connection.alone)

    def _is_back(self) -> bool:
        connection = self._connection
        return (
            connection is not None
            and self._intake.counts(connection.session)
            and connection.subscription.heard
            and not connection.subscription.closed.done()
        )

    # -- a connection that lives

    async def _watch(self, connection: Connection) -> None:
        """Returns when the connection has ended, or nothing comes back through it any more."""
        pings = asyncio.create_task(self._pings(connection.subscription))
        probes = asyncio.create_task(self._probes(connection.session))
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
            if self._intake.outdated:
                await self._renew_epoch()
        return f"no sign of life for {silent:g} s"

    async def _probes(self, session: Session) -> str:
        """Publishes to this process itself, each time from a new connection.

        Finds a master that was replaced and is left alone with its old connections.
        """
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            session.probed.clear()
            before = self._feed.count
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    await self._address.publish(session.probe_channel, b"")
            except (OSError, TimeoutError):
                continue  # no probe was sent; whether Redis is there is for the pings to say
            try:
                await asyncio.wait_for(session.probed.wait(), SILENCE_SECONDS)
            except TimeoutError:
                if self._feed.count == before and not self._paused:
                    return "what is published no longer arrives"

    async def _renew_epoch(self) -> None:
        try:
            await self._log.open_epoch(self._feed.newest_epoch)
            self._intake.outdated = False
        except HistoryUnavailable:
            pass  # the next ping tries again

    # -- what the operator is told

    def _live(self) -> None:
        self._refusal = ""
        if self._lost_at is not None:
            away = asyncio.get_running_loop().time() - self._lost_at
            self._lost_at = None
            logger.info("Redis %s: back after %.1f s, live again", self._address.name, away)

    def _lost(self, error: Exception) -> None:
        reason = str(error) or "no answer"
        if isinstance(error, SubscriptionRefused) and reason != self._refusal:
            self._refusal = reason
            logger.error(
                "Redis %s: %s. Check REDIS_URL and the ACL rights of its user"
                " (docs/operations.md); trying again until it works.",
                self._address.name,
                reason,
            )
        if self._lost_at is None:
            self._lost_at = asyncio.get_running_loop().time()
            logger.warning(
                "Redis %s: lost (%s). Streams stay open; reconnecting.", self._address.name, reason
            )
