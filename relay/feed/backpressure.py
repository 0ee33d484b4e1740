"""Flow control between Redis and the streams."""

from typing import Protocol


class Pausable(Protocol):
    """A connection whose reading can stop for a while; both methods may be repeated."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Backpressure:
    """Stops reading from Redis while any fan-out has more waiting than its ring should hold.

    It knows which fan-outs are crowded: reading goes on when none is left, and not when another one
    has finished a pass.
    """

    def __init__(self) -> None:
        self._crowded: set[object] = set()
        self._connection: Pausable | None = None

    @property
    def paused(self) -> bool:
        """Whether reading has stopped."""
        return bool(self._crowded)

    def control(self, connection: Pausable | None) -> None:
        """Pauses and resumes `connection` from now on, instead of the one before."""
        if self._connection is not None and self._crowded:
            self._connection.resume()
        self._connection = connection
        if connection is not None and self._crowded:
            connection.pause()

    def raise_by(self, fanout: object) -> None:
        """A fan-out is crowded; harmless when it was already."""
        if not self._crowded and self._connection is not None:
            self._connection.pause()
        self._crowded.add(fanout)

    def lower_by(self, fanout: object) -> None:
        """A fan-out has nothing waiting, or is no more; harmless when it was not crowded."""
        if fanout in self._crowded:
            self._crowded.remove(fanout)
            if not self._crowded and self._connection is not None:
                self._connection.resume()
