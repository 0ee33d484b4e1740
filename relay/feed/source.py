"""What a fan-out delivers."""

from typing import Any, Protocol

from relay.feed.readers import Readers
from relay.feed.ring import Place, Ring


class Source(Protocol):
    """A ring, its readers, and a notice for a subscriber that fell off the ring."""

    ring: Ring
    readers: Readers

    def heartbeat(self, time_ms: int) -> None:
        """Appends a comment to the ring, which carries the position."""

    def fallen(self, place: Place, before: Any) -> bytes:
        """The notice for a client that has read up to `place`, and goes on where the ring begins.

        `before` is the note of the entry before `place`, which the ring has dropped.
        """
