"""How fast clients may bring up new channels: each one leaves something in Redis for a while."""

from collections import OrderedDict

from relay.clock import Clock
from relay.conf import Settings
from relay.engine.stream import Full, Refusal

MAX_ADDRESSES = 10_000
"""How many addresses are remembered; the one that was not heard of for longest is forgotten."""


class Bucket:
    """Fills evenly with `per_minute` and holds `most`; one that is new is full."""

    def __init__(self, per_minute: int, most: int, now: float) -> None:
        self._per_second = per_minute / 60
        self._most = most
        self._held = float(most)
        self._at = now

    def has(self, number: int, now: float) -> bool:
        self._held = min(self._most, self._held + (now - self._at) * self._per_second)
        self._at = now
        return self._held >= number

    def take(self, number: int) -> None:
        self._held -= number


class Newcomers:
    """Counts new channels of patterns, for each address and for all together."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._clock = clock
        self._per_address = settings.new_channels_per_address
        per_minute = settings.new_channels_per_minute
        most = max(per_minute, settings.max_channels)  # all clients may come back at once
        self._all = Bucket(per_minute, most, clock.time()) if per_minute else None
        self._addresses: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, address: str, number: int) -> None:
        """Raises Full, and takes nothing, when there are too many for the address or in all."""
        if not number:
            return
        now = self._clock.time()
        buckets = [bucket for bucket in (self._all, self._of(address, now)) if bucket]
        if not all(bucket.has(number, now) for bucket in buckets):
            raise Full("Too many new channels at once.", Refusal.NEW_CHANNELS)
        for bucket in buckets:
            bucket.take(number)

    def _of(self, address: str, now: float) -> Bucket | None:
        if not address or not self._per_address:
            return None
        bucket = self._addresses.pop(address, None)
        bucket = bucket or Bucket(self._per_address, max(self._per_address, 50), now)
        self._addresses[address] = bucket
        if len(self._addresses) > MAX_ADDRESSES:
            self._addresses.popitem(last=False)
        return bucket
