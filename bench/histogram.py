"""A histogram that keeps every value."""

from array import array
from collections.abc import Iterable


class Histogram:
    """Keeps every value in 8 bytes, so that a percentile is a value that occurred.

    Values are whole numbers in any unit. Results are in the same unit.
    """

    __slots__ = ("_sorted", "_values", "add", "extend")

    def __init__(self, values: Iterable[int] = ()) -> None:
        self._values = array("q", values)
        self._sorted: list[int] = []
        # Bound methods of the array, because a value is added for each delivery.
        self.add = self._values.append
        self.extend = self._values.extend

    def __len__(self) -> int:
        return len(self._values)

    def percentile(self, percent: float) -> int:
        """Returns the smallest value that at least `percent` of all values do not exceed.

        Raises ValueError if there are no values.
        """
        if not self._values:
            raise ValueError("no value was added")
        if len(self._sorted) != len(self._values):
            self._sorted = sorted(self._values)
        rank = -(-percent * len(self._sorted) // 100)  # rounded up
        return self._sorted[max(int(rank), 1) - 1]
