"""Latencies, kept exactly."""

from array import array
from collections.abc import Iterable


class Histogram:
    """Every value is kept (8 bytes each), so that a percentile is a value that really occurred.

    Values are whole numbers of whatever unit the caller adds; all results are in the same unit.
    """

    __slots__ = ("_sorted", "_values", "add", "extend")

    def __init__(self, values: Iterable[int] = ()) -> None:
        self._values = array("q", values)
        self._sorted: list[int] = []
        # Bound methods of the array: adding costs no call of ours, and it is done per delivery.
        self.add = self._values.append
        self.extend = self._values.extend

    def __len__(self) -> int:
        return len(self._values)

    def percentile(self, percent: float) -> int:
        """The smallest value that at least `percent` of all values do not exceed; ValueError if empty."""
        if not self._values:
            raise ValueError("no value was added")
        if len(self._sorted) != len(self._values):
            self._sorted = sorted(self._values)
        rank = -(-percent * len(self._sorted) // 100)  # rounded up
        return self._sorted[max(int(rank), 1) - 1]
