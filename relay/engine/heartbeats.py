"""When each channel and group sends its heartbeats."""

from collections import OrderedDict

from relay.clock import Clock
from relay.engine.delivery import Delivery


class Heartbeats:
    """Sends heartbeats every `seconds`, counted for each delivery from its opening.

    So those of thousands of channels do not come all at once, and hold no message up.
    """

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._due: OrderedDict[Delivery, float] = OrderedDict()
        """The loop time of the next heartbeat of each delivery, the soonest first."""

    def add(self, delivery: Delivery) -> None:
        """Begins with the heartbeats of a delivery that was just opened."""
        self._due[delivery] = self._clock.time() + self._seconds

    def remove(self, delivery: Delivery) -> None:
        """Ends the heartbeats of a delivery that is closed."""
        self._due.pop(delivery, None)

    def send(self, until: float, comment: bytes) -> None:
        """Sends each heartbeat that is due before `until`, in loop time; `comment` begins it."""
        now = self._clock.time()
        while self._due:
            delivery, due = next(iter(self._due.items()))
            if due >= until:
                return
            self._due[delivery] = now + self._seconds
            self._due.move_to_end(delivery)
            delivery.heartbeat(comment)
