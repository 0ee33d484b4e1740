"""What this process reports about itself to the list of hub processes."""

import os
import socket
from collections.abc import Mapping
from typing import Any

from relay.clock import Clock
from relay.control.report import Report, State
from relay.stats import Stats
from relay.version import __version__

RATE_SECONDS = 5.0
"""The shortest time over which the rate is measured."""


class Reporter:
    """Makes the reports. Each is written with a sign, so it takes no exchange with Redis of its own."""

    def __init__(self, stats: Stats, clock: Clock) -> None:
        self._stats = stats
        self._clock = clock
        self._host = socket.gethostname()
        self._started_ms = clock.now_ms()
        self._since = self._next = (clock.time(), stats.messages)
        """When the measured time and the one after it began, each with the count of messages then."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """The `host`, `pid` and `started_ms` of this process."""
        return {"host": self._host, "pid": os.getpid(), "started_ms": self._started_ms}

    def report(self, state: State, channels: int) -> Report:
        """Returns the report of this moment."""
        return Report(
            **self.identity,
            version=__version__,
            state=state,
            streams=self._stats.streams_open,
            channels=channels,
            messages=self._stats.messages,
            messages_per_second=self._rate(),
            gaps=self._stats.gaps_told,
        )

    def _rate(self) -> float | None:
        """Returns the messages per second of the last seconds; None before the first RATE_SECONDS."""
        now, count = self._clock.time(), self._stats.messages
        if now - self._next[0] >= RATE_SECONDS:
            self._since, self._next = self._next, (now, count)
        seconds = now - self._since[0]
        if seconds < RATE_SECONDS:
            return None
        return round((count - self._since[1]) / seconds, 1)
