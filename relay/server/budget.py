"""What all request bodies of a process may hold together."""

from relay.http.body_limits import SMALL_BYTES


class Budget:
    """Counts the bytes of bodies that are larger than what every path takes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0

    def take(self, number: int) -> bool:
        """Whether there is room for `number` bytes, which are taken then."""
        if self._taken + number > self._limit:
            return False
        self._taken += number
        return True

    def give_back(self, number: int) -> None:
        self._taken -= number


class Share:
    """What one body takes of the budget. Small bodies take nothing, so they always find room."""

    __slots__ = ("_budget", "_taken")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._taken = 0

    def grow(self, total: int) -> bool:
        """Whether a body of `total` bytes has room."""
        more = total - self._taken
        if total <= SMALL_BYTES or more <= 0:
            return True
        if not self._budget.take(more):
            return False
        self._taken = total
        return True

    def end(self) -> None:
        """Gives everything back; harmless when called again."""
        self._budget.give_back(self._taken)
        self._taken = 0
