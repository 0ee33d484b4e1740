"""The source from which a fan-out delivers."""

from typing import Any, Protocol

from relay.feed.readers import Readers
from relay.feed.ring import Place, Ring


class Source(Protocol):
    """A ring, its readers, and a notice for a subscriber whose next entry was evicted."""

    ring: Ring
    readers: Readers

    def heartbeat(self, time_ms: int, comment: bytes) -> None:
        """Appends a comment that carries the position."""

    def eviction_notice(self, place: Place, before: Any) -> bytes:
        """Returns the notice for a client that read up to `place` and continues at the ring's start.

        `before` is the note of the entry before `place`, which the ring has evicted.
        """
