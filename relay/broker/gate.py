"""Whether commands may open connections to Redis. All parts of a process share one gate."""

import time

from redis.exceptions import ConnectionError

AWAY_SECONDS = 5.0
"""How often a connection for commands is attempted while Redis is away. The listener tries more often."""


class Gate:
    """Starts open. The listener closes it when Redis is lost and opens it when Redis is reached again.

    Otherwise each journal, hole and request would try a lost Redis by itself, many times a second.
    """

    def __init__(self) -> None:
        self._closed = False
        self._next = 0.0

    def open(self) -> None:
        self._closed, self._next = False, 0.0

    def close(self) -> None:
        self._closed = True

    def enter(self) -> None:
        """Called before a connection is opened. Raises ConnectionError while it would be in vain."""
        now = time.monotonic()
        if self._closed and now < self._next:
            raise ConnectionError("Redis is away")
        self._next = now + AWAY_SECONDS

    def passed(self) -> None:
        """Called when a connection was opened: Redis can be reached, although it may deny channels."""
        self._next = 0.0
