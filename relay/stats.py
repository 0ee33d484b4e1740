"""What this process has counted since it started."""

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Stats:
    """Plain counters; all but `streams_open` only ever grow."""

    messages: int = 0
    """Messages received from Redis."""
    invalid_utf8: int = 0
    """Messages in which invalid bytes were replaced by U+FFFD."""
    oversize: int = 0
    """Messages announced as `hub.oversize` instead of delivered."""
    streams_open: int = 0
    streams_opened: int = 0
    streams_refused: int = 0
    """Requests turned away because RELAY_MAX_STREAMS were open."""
    streams_cut: int = 0
    """Streams ended because the client took nothing for RELAY_STALL_SECONDS."""
    gaps_slow_client: int = 0
    """`hub.gap` events told to single clients that had fallen off the ring."""
    resumed: int = 0
    """Streams that went on from a last event id with nothing missing up to the ring."""
    gaps_resume: int = 0
    """`hub.gap` events told to clients that came back, or asked for more than is kept."""
    pages_read: int = 0
    """Pages of the history read from Redis for replays."""
    gaps_redis_lost: int = 0
    """`hub.gap` events told to every stream because the subscription was interrupted."""

    def as_dict(self) -> dict[str, int]:
        return asdict(self)
