"""Whether this process is subscribed to Redis."""

from typing import Protocol


class Live(Protocol):
    """Whoever knows whether what is published reaches a feed now."""

    @property
    def live(self) -> bool: ...


class Link:
    """What the listener knows and others ask. It starts neither live nor interrupted."""

    def __init__(self) -> None:
        self._live = False
        self._interrupted = False

    @property
    def live(self) -> bool:
        """Whether what is published reaches this process now, as far as it can know."""
        return self._live

    @property
    def interrupted(self) -> bool:
        """Whether the connection was lost, or could not be made, and is not back yet."""
        return self._interrupted

    def restored(self) -> None:
        self._live, self._interrupted = True, False

    def lost(self) -> None:
        self._live, self._interrupted = False, True
