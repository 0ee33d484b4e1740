"""Counts what a fan-out sends, and how late: at a cost for each pass, and none for each stream."""

from relay.clock import Clock
from relay.feed.ring import Ring
from relay.stats import Stats


class Meter:
    """One for each fan-out.

    A pass serves its subscribers in the order in which they became current, so those at one cursor
    follow each other and are sent the same chunk. So a run of them is counted when it ends: with the
    next chunk, or with the slice.
    """

    __slots__ = ("_bytes", "_clock", "_counted", "_due", "_messages", "_sent", "_since", "_stats")

    def __init__(self, clock: Clock, stats: Stats) -> None:
        self._clock = clock
        self._stats = stats
        self._since: float | None = None
        self._due: float | None = None
        self._bytes = self._messages = self._counted = self._sent = 0

    def woken(self) -> None:
        """Called after something was appended to the ring."""
        if self._since is None:
            self._since = self._clock.time()

    # -- a pass

    def begin(self, ring: Ring, target: int) -> None:
        """Begins a pass over what was appended up to the index `target`. What follows waits for the next."""
        self._due, self._since = self._since, None
        self._sent = self._counted = 0
        if target < ring.end and self._due is not None:
            waits = max(self._clock.now_ms() - ring.time_ms(target), 0) / 1000
            self._since = max(self._due, self._clock.time() - waits)

    def turn_to(self, body_bytes: int, messages: int, served: int) -> None:
        """Begins a run of another chunk. `served` is the number of deliveries of this slice before it."""
        if served != self._counted:
            self._count(served)
        self._bytes, self._messages = body_bytes, messages

    def end_slice(self, served: int) -> None:
        """Ends a slice with `served` deliveries."""
        if served != self._counted:
            self._count(served)
        self._counted = 0

    def end(self) -> None:
        """Ends a pass. Observes its lag if a message was sent."""
        if self._sent and self._due is not None:
            self._stats.lag.observe(self._clock.time() - self._due)

    def _count(self, served: int) -> None:
        number, self._counted = served - self._counted, served
        messages = number * self._messages
        self._sent += messages
        self._stats.sent_messages += messages
        self._stats.sent_bytes += number * self._bytes

    # -- one subscriber that is behind

    def sent(self, body_bytes: int, messages: int) -> None:
        """Counts a chunk for one subscriber."""
        self._stats.sent_messages += messages
        self._stats.sent_bytes += body_bytes
