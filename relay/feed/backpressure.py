"""Flow control between Redis and the streams."""

from typing import Protocol


class Pausable(Protocol):
    """A connection whose reading can be paused. Both methods may be called repeatedly."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Backpressure:
    """Pauses reading from Redis while a fan-out is crowded: it is about to lose unsent frames.

    It keeps the set of crowded fan-outs. Reading resumes when the set is empty, and not when just
    any fan-out has finished a pass.
    """

    def __init__(self) -> None:
        self._crowded: set[object] = set()
        self._connections: dict[object, Pausable] = {}

    @property
    def paused(self) -> bool:
        """Whether reading has stopped."""
        return bool(self._crowded)

    def control(self, owner: object, connection: Pausable | None) -> None:
        """Controls `connection` from now on, as the one of its owner; resumes the owner's one before."""
        before = self._connections.pop(owner, None)
        if before is not None and self._crowded:
            before.resume()
        if connection is not None:
            self._connections[owner] = connection
            if self._crowded:
                connection.pause()

    def pause_for(self, fanout: object) -> None:
        """Marks a fan-out as crowded. May be called repeatedly."""
        if not self._crowded:
            for connection in self._connections.values():
                connection.pause()
        self._crowded.add(fanout)

    def resume_for(self, fanout: object) -> None:
        """Marks a fan-out as not crowded. Harmless when it was not crowded before."""
        if fanout in self._crowded:
            self._crowded.remove(fanout)
            if not self._crowded:
                for connection in self._connections.values():
                    connection.resume()
