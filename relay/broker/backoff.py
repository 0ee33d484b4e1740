"""Pauses between attempts."""

import random


class Backoff:
    """Pauses that double from `first` to `longest`, in seconds.

    `jitter` is the greatest share by which chance shortens a pause, so that processes which failed
    together do not try again together.
    """

    def __init__(self, first: float, longest: float, jitter: float = 0.5) -> None:
        self._first = first
        self._longest = longest
        self._jitter = jitter
        self._pause = first

    def next(self) -> float:
        """Returns how long to wait before the next attempt."""
        pause = self._pause * random.uniform(1.0 - self._jitter, 1.0)
        self._pause = min(self._pause * 2, self._longest)
        return pause

    def reset(self) -> None:
        """An attempt succeeded: the next pause is the first one again."""
        self._pause = self._first
