"""The counters of this process since its start."""

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Stats:
    """Plain counters. All but `streams_open` only grow."""

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

    @property
    def gaps(self) -> int:
        """`hub.gap` events of every reason."""
        return self.gaps_slow_client + self.gaps_resume + self.gaps_redis_lost

    def as_dict(self) -> dict[str, int]:
        return asdict(self)
