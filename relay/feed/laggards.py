"""The fan-outs that have somebody behind, among thousands that have nobody."""

from typing import Protocol


class Stalling(Protocol):
    """A fan-out."""

    def cut_stalled(self, seconds: float) -> bool:
        """Cuts every subscriber that has taken nothing for `seconds`. Returns whether any is behind."""


class Laggards:
    """Looks for stalled subscribers only where one is behind."""

    def __init__(self) -> None:
        self._fanouts: dict[Stalling, None] = {}

    def __len__(self) -> int:
        """The number of fan-outs that are looked at."""
        return len(self._fanouts)

    def add(self, fanout: Stalling) -> None:
        """Called when a subscriber of a fan-out is behind. May be called repeatedly."""
        self._fanouts[fanout] = None

    def cut_stalled(self, seconds: float) -> None:
        """Cuts every subscriber of the process that has taken nothing for `seconds`."""
        for fanout in list(self._fanouts):
            if not fanout.cut_stalled(seconds):
                del self._fanouts[fanout]
