"""When each channel and group sends its heartbeats."""

import random
from heapq import heappop, heappush
from itertools import count

from relay.clock import Clock
from relay.engine.delivery import Delivery


class Heartbeats:
    """Sends heartbeats every `seconds`, for each delivery from a random moment of its first period on.

    So those of thousands of channels never come all at once, and hold no message up.
    """

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._numbers = count()
        self._due: list[tuple[float, int, Delivery]] = []
        """A heap: the loop time of each next heartbeat, and a number that no other entry has."""
        self._open: set[Delivery] = set()

    def add(self, delivery: Delivery) -> None:
        """Begins with the heartbeats of a delivery that was just opened."""
        self._open.add(delivery)
        self._plan(delivery, random.uniform(0, self._seconds))

    def remove(self, delivery: Delivery) -> None:
        """Ends the heartbeats of a delivery that is closed. May be called repeatedly."""
        self._open.discard(delivery)

    def send(self, until: float, comment: bytes) -> None:
        """Sends each heartbeat that is due before `until`, in loop time; `comment` begins it."""
        while self._due and self._due[0][0] < until:
            _, _, delivery = heappop(self._due)
            if delivery in self._open:
                self._plan(delivery, self._seconds)
                delivery.heartbeat(comment)

    def _plan(self, delivery: Delivery, seconds: float) -> None:
        due = self._clock.time() + seconds
        heappush(self._due, (due, next(self._numbers), delivery))
