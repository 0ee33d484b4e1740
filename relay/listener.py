"""Keeps this process subscribed: connects, watches the connection, connects again."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from relay.subscription import Receive, RedisAddress, Subscription, SubscriptionRefused

logger = logging.getLogger("relay")

PROBE_SECONDS = 0.5
"""How often a silent connection is made to say something."""

SILENCE_SECONDS = 2.0
"""Silence after a probe that says: this connection, or Redis, hangs."""

BACKOFF_SECONDS = 0.05, 1.0
"""The first and the longest pause between two attempts, before jitter shortens it."""


class Listener:
    """One subscribed connection per process, for as long as the process lives.

    `on_live(first)` is called when the subscription stands, before any of its messages. The log gets
    one warning when Redis goes and one line when it is back; a refusal (wrong password, missing
    right) is an error of its own, because only a person can mend it.
    """

    def __init__(
        self,
        address: RedisAddress,
        channels: Sequence[str],
        receive: Receive,
        on_live: Callable[[bool], None],
    ) -> None:
        self._address = address
        self._channels = channels
        self._receive = receive
        self._on_live = on_live
        self._subscription: Subscription | None = None
        self._paused = False
        self._was_live = False
        self._lost_at: float | None = None
        self._refusal = ""
        self.first_attempt = asyncio.Event()
        """Set when the first attempt to subscribe has succeeded or failed."""

    @property
    def live(self) -> bool:
        return self._subscription is not None

    def pause(self) -> None:
        """Stops reading until `resume`: for when messages come faster than they can be sent."""
        if self._subscription and not self._paused:
            self._paused = True
            self._subscription.pause()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            if self._subscription:
                self._subscription.resume()

    async def run(self) -> None:
        """Listens until it is cancelled."""
        first_pause, longest_pause = BACKOFF_SECONDS
        pause = first_pause
        try:
            while True:
                try:
                    async with asyncio.timeout(SILENCE_SECONDS):
                        subscription = await self._subscribe()
                except (OSError, TimeoutError) as error:
                    self._lost(error)
                    self.first_attempt.set()
                    await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                    pause = min(pause * 2, longest_pause)
                    continue
                pause = first_pause
                self.first_attempt.set()
                reason = await self._watch(subscription)
                self._subscription = None
                self._paused = False
                self._lost(ConnectionError(reason))
        finally:
            if self._subscription:
                self._subscription.abort("the hub stops")

    async def _subscribe(self) -> Subscription:
        subscription = await self._address.subscribe(self._channels, self._receive)
        self._subscription = subscription
        self._live()
        return subscription

    async def _watch(self, subscription: Subscription) -> str:
        """Probes until the connection ends; returns why it did."""
        silent = 0.0
        while True:
            subscription.heard = False
            subscription.ping()
            done, _ = await asyncio.wait([subscription.closed], timeout=PROBE_SECONDS)
            if done:
                return subscription.closed.result()
            silent = 0.0 if subscription.heard or self._paused else silent + PROBE_SECONDS
            if silent >= SILENCE_SECONDS:
                reason = f"no sign of life for {silent:g} s"
                subscription.abort(reason)
                return reason

    def _live(self) -> None:
        first = not self._was_live
        self._was_live = True
        self._refusal = ""
        if self._lost_at is not None:
            away = asyncio.get_running_loop().time() - self._lost_at
            self._lost_at = None
            logger.info("Redis %s: back after %.1f s, live again", self._address.name, away)
        self._on_live(first)

    def _lost(self, error: Exception) -> None:
        reason = str(error) or "no answer"
        if isinstance(error, SubscriptionRefused) and reason != self._refusal:
            self._refusal = reason
            logger.error(
                "Redis %s: %s. Check REDIS_URL and the ACL rights of its user (SUBSCRIBE and PING on"
                " the channel); trying again until it works.",
                self._address.name,
                reason,
            )
        if self._lost_at is None:
            self._lost_at = asyncio.get_running_loop().time()
            logger.warning(
                "Redis %s: lost (%s). Streams stay open; reconnecting.", self._address.name, reason
            )
