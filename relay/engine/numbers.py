"""The numbers of streams: each names one stream among those of all processes, and says its age."""

import secrets

from relay.clock import Clock

SALT_BITS = 24
"""The bits that tell processes apart. They are random, and new with each start."""


def opened_at(number: int) -> float:
    """Returns when the stream was opened, in loop time to the microsecond."""
    return (number >> SALT_BITS) / 1_000_000


class Numbers:
    """Gives a number to each new stream. One integer is all that a stream keeps for its name and its age."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._salt = secrets.randbits(SALT_BITS)
        self._last = 0

    def next(self) -> int:
        """Returns a number greater than all before."""
        self._last = max(self._last + 1, round(self._clock.time() * 1_000_000))
        return self._last << SALT_BITS | self._salt
