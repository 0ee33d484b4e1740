"""The one deadline that a connection has at a time."""

from collections.abc import Callable
from typing import Any

from relay.server import internals


class Deadline:
    __slots__ = ("_action", "_call")

    def __init__(self) -> None:
        self._call: Any = None
        self._action: Callable[[], None] | None = None

    def set(self, seconds: float, action: Callable[[], None]) -> None:
        """Calls `action` then, instead of what was set before."""
        self.cancel()
        self._action = action
        self._call = internals.reactor.callLater(seconds, action)

    def cancel(self) -> None:
        """Harmless when nothing is set."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = self._action = None

    def calls(self, action: Callable[[], None]) -> bool:
        return self._action == action
