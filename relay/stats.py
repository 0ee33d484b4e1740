"""The counters of this process since its start."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

LAG_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The upper bounds of the buckets of each histogram, in seconds."""

STALL_SECONDS = 0.1
"""An event loop that wakes a task up so much too late has stalled."""


class Histogram:
    """How many durations were observed, by size."""

    __slots__ = ("counts", "sum_seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(LAG_BOUNDS) + 1)
        """One number for each bucket, not cumulative; the last is for what is over all bounds."""
        self.sum_seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Counts one duration. A bound belongs to the bucket below it."""
        self.counts[bisect_left(LAG_BOUNDS, seconds)] += 1
        self.sum_seconds += seconds

    @property
    def count(self) -> int:
        return sum(self.counts)

    def as_list(self) -> Sequence[float]:
        """Returns the buckets, and after them the sum of all durations in seconds."""
        return [*self.counts, self.sum_seconds]


class Measures:
    """What `/metrics` says beyond the fields of `/health/`. All of it only grows."""

    def __init__(self) -> None:
        self.received_bytes = 0
        """The bytes of the messages from Redis, as they were published."""
        self.sent_messages = 0
        """Messages handed to connections by the fan-outs: each once for each stream."""
        self.sent_bytes = 0
        """Bytes of event streams handed to connections: live, behind, or of the past."""
        self.replayed_messages = 0
        """Messages of the past handed to new streams."""
        self.history_written = 0
        """Entries that this process has appended to the histories."""
        self.refused: Counter[str] = Counter()
        """Refused requests by reason."""
        self.gaps: Counter[str] = Counter()
        """`hub.gap` events by reason. One that is announced on every stream of a channel counts once."""
        self.redis_losses = 0
        """How often the subscribed connection was lost."""
        self.redis_reconnects = 0
        """How often a connection took over from an earlier one."""
        self.redis_moves = 0
        """How often it led to another server than the one before."""
        self.lag = Histogram()
        """From the receipt of the oldest message of a pass until every current stream was sent it."""
        self.round_trip = Histogram()
        """From the start of a probe until it came back through the subscribed connection."""
        self.loop_delay = Histogram()
        """How late the ticker was woken up."""
        self.loop_stalls = 0
        """How often that was STALL_SECONDS or more."""

    def observe_tick(self, late_seconds: float) -> None:
        """Counts one wake-up of the ticker."""
        self.loop_delay.observe(max(late_seconds, 0.0))
        if late_seconds >= STALL_SECONDS:
            self.loop_stalls += 1


@dataclass
class Stats(Measures):
    """Plain counters. All but `streams_open` only grow. Its fields are those of `/health/`."""

    messages: int = 0
    """Messages received from Redis."""
    invalid_utf8: int = 0
    """Messages in which invalid bytes were replaced by U+FFFD."""
    oversize: int = 0
    """Messages announced as `hub.oversize` instead of delivered."""
    streams_open: int = 0
    streams_opened: int = 0
    streams_refused: int = 0
    """Requests refused because of a limit of streams or channels, or while the process stops."""
    streams_cut: int = 0
    """Streams ended because the client took nothing for RELAY_STALL_SECONDS."""
    gaps_slow_client: int = 0
    """`hub.gap` events sent to single clients whose next messages were evicted from the ring."""
    resumed: int = 0
    """Streams that resumed from a last event id with no gap before the ring."""
    gaps_resume: int = 0
    """`hub.gap` events made for clients that came back, or requested more than is kept."""
    pages_read: int = 0
    """Pages of the history read from Redis for replays."""
    gaps_redis_lost: int = 0
    """`hub.gap` events announced on every stream because the subscription was interrupted."""

    def __post_init__(self) -> None:
        Measures.__init__(self)

    @property
    def gaps_told(self) -> int:
        """`hub.gap` events of every reason."""
        return self.gaps_slow_client + self.gaps_resume + self.gaps_redis_lost

    def as_dict(self) -> dict[str, int]:
        return asdict(self)
