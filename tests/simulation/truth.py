"""What was really published on one channel: the oracle."""

from relay.wire.position import Position
from relay.wire.sse import message


class Violation(AssertionError):
    """The protocol broke a promise."""


class Order:
    """Every message ever published, by its number from 1, and where each epoch began."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self._bases: dict[int, int] = {}
        self._counts: dict[int, int] = {}
        self.epoch = 0
        self.may_go_back = False
        """The counter, the history and the time are lost at once: an epoch may be below the newest."""

    @property
    def newest(self) -> Position | None:
        return Position(self.epoch, self._counts[self.epoch]) if self.epoch else None

    def publish(self, payload: bytes) -> None:
        self.payloads.append(payload)
        if self.epoch:
            self._counts[self.epoch] += 1

    def mark(self, epoch: int) -> None:
        if epoch in self._bases or (epoch < self.epoch and not self.may_go_back):
            raise Violation(f"epoch {epoch} after {self.epoch}: ids can repeat")
        self.epoch = epoch
        self._bases[epoch] = len(self.payloads)
        self._counts[epoch] = 0

    def place(self, position: Position) -> int:
        """How many messages were published up to and with `position`, which must exist."""
        count = self._counts.get(position.epoch, -1)
        if position.offset > count:
            raise Violation(f"{position} was never an id")
        return self._bases[position.epoch] + position.offset

    def event(self, position: Position) -> bytes:
        """The event, without its id, that has the id `position`."""
        return message(self.payloads[self.place(position) - 1])
