"""The gaps of the last hour, minute by minute."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence

MINUTES = 60
MINUTE_MS = 60_000


class LastHour:
    """Takes the difference of a counter that only grows, once a minute."""

    def __init__(self, counter: Mapping[str, int]) -> None:
        self._counter = counter
        self._before: Counter[str] = Counter(counter)
        self._minute: int | None = None
        self._minutes: deque[tuple[int, Mapping[str, int]]] = deque(maxlen=MINUTES)

    def tick(self, now_ms: int) -> None:
        """Ends a minute if it is over. Called about once a second; `now_ms` is Unix time."""
        minute = now_ms // MINUTE_MS
        if self._minute is None:
            self._minute = minute
        if minute != self._minute:
            self._end(self._minute)
            self._minute = minute

    def minutes(self, now_ms: int) -> Sequence[tuple[int, Mapping[str, int]]]:
        """Returns the minutes that had any, the oldest first: the start (Unix time in ms) and the gaps."""
        self.tick(now_ms)
        minute = now_ms // MINUTE_MS
        first = minute - MINUTES + 1
        found = [*self._minutes, (minute, self._new())]
        return [(each * MINUTE_MS, gaps) for each, gaps in found if gaps and each >= first]

    def _end(self, minute: int) -> None:
        if new := self._new():
            self._minutes.append((minute, new))
            self._before = Counter(self._counter)

    def _new(self) -> Mapping[str, int]:
        return {
            reason: number - self._before[reason]
            for reason, number in self._counter.items()
            if number > self._before[reason]
        }
