"""One tracking connection to Redis, and the stream channels that it reads."""

import asyncio
import logging
import secrets
from collections.abc import Collection, Sequence

from relay.broker.dialogue import Dialogue
from relay.broker.errors import SubscriptionRefused
from relay.broker.keys import HubKeys
from relay.broker.link import MasterLink
from relay.broker.master import Master
from relay.broker.subscription import ELSEWHERE
from relay.broker.tracking import Tracking
from relay.source.refusals import Refusals
from relay.source.tracked import StoredChannel, Tracked

logger = logging.getLogger("relay")

PROBE_SECONDS = 10.0
"""The pause before each probe. It may be long: reading goes on where it was, however late."""

LATER = ("LOADING ", "BUSY ", "MASTERDOWN ", "READONLY ")
"""How errors begin that end by themselves."""


class TrackedKeys:
    """A connection that reads keys whenever they have changed. `troubled` holds what could not be read."""

    def __init__(self, master: Master, keys: HubKeys, link: MasterLink, refusals: Refusals) -> None:
        self.master = master
        self.probe_channel = keys.probe(secrets.token_hex(8))
        self.probed = asyncio.Event()
        """Set by every message on `probe_channel`."""
        self.probe_seconds = PROBE_SECONDS
        self.received = 0
        """The number of notices."""
        self.troubled: dict[StoredChannel, None] = {}
        self.link = link
        self._refusals = refusals
        self._tracking: Tracking | None = None
        self._tracked: dict[bytes, Tracked] = {}

    # -- the connection itself

    async def connect(self) -> None:
        """Raises OSError when Redis cannot be reached, SubscriptionRefused when it refuses."""
        self._tracking = await self.master.track(self)
        await self._tracking.subscribe(self.probe_channel)

    @property
    def subscription(self) -> Dialogue:
        return self._open_tracking()

    def abort(self, reason: str) -> None:
        for tracked in self._tracked.values():
            tracked.leave()
        if self._tracking is not None:
            self._tracking.abort(reason)

    def _open_tracking(self) -> Tracking:
        assert self._tracking is not None, "it was never connected"
        return self._tracking

    # -- its channels

    @property
    def channels(self) -> Collection[StoredChannel]:
        return [tracked.channel for tracked in self._tracked.values()]

    def add(self, channel: StoredChannel) -> None:
        """Reads the channel from now on, from the newest position of its feed."""
        tracked = Tracked(channel, self._open_tracking(), self)
        self._tracked[channel.key.encode()] = tracked
        tracked.look()

    def remove(self, channel: StoredChannel) -> None:
        tracked = self._tracked.pop(channel.key.encode(), None)
        if tracked is not None:
            tracked.leave()
        self.well(channel)

    def look_again(self, channel: StoredChannel) -> None:
        """Looks at the key of a channel, in case that a notice of a change was lost."""
        tracked = self._tracked.get(channel.key.encode())
        if tracked is not None:
            tracked.look()

    # -- what Redis says

    def changed(self, keys: Sequence[bytes] | None) -> None:
        self.received += 1
        if keys is None:
            for tracked in list(self._tracked.values()):
                tracked.read()
            return
        for key in keys:
            tracked_key = self._tracked.get(key)
            if tracked_key is not None:
                tracked_key.read()

    def notified(self, channel: bytes) -> None:
        self.received += 1
        self.probed.set()

    def trouble(self, channel: StoredChannel, error: Exception | str) -> None:
        self.troubled[channel] = None
        text = str(error)
        if text.startswith(ELSEWHERE):
            self.link.whole.doubt()
        elif isinstance(error, str):
            self._refusals.report_key(channel.name, channel.label, text)
        elif not text.startswith(LATER):
            self._refusals.report(SubscriptionRefused(f"{channel.label}: {text}"))

    def well(self, channel: StoredChannel) -> None:
        if self.troubled:
            self.troubled.pop(channel, None)
