"""What a replay yields, and its interface."""

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple, Protocol

from relay.feed.ring import Place
from relay.feed.start import Start
from relay.stats import Stats
from relay.wire import sse
from relay.wire.notices import Gap
from relay.wire.position import Position


class Piece(NamedTuple):
    """An event without its id. Only a gap may lack a position."""

    position: Position | None
    event: bytes
    source: bytes = b""


def tell(gap: Gap, stats: Stats) -> Piece:
    """Returns the notice of a gap that a client of a replay gets, and counts it."""
    stats.gaps_resume += 1
    stats.gaps[gap.reason] += 1
    return Piece(gap.end, sse.hub_event(gap))


class Rest(NamedTuple):
    """The place in the ring from which the stream continues, and a gap to send before it."""

    place: Place
    gap: Piece | None


class Origin(NamedTuple):
    """The position at which a stream begins, and a gap to send before it."""

    position: Position
    gap: Piece | None


class Replaying(Protocol):
    """Replays the past to the clients of one feed; keeps no state per client."""

    def in_ring(self, start: Start) -> Place | None:
        """Returns the place where `start` begins; None unless the ring has everything after it."""

    async def begin(self, start: Start, arrival_position: Position | None) -> Origin:
        """Returns where `start` begins. `arrival_position` is the feed's when the client arrived."""

    def after(self, position: Position) -> AsyncGenerator[Sequence[Piece] | Rest, None]:
        """Yields every message after `position`, then one Rest.

        It does not await after it has found the place of the Rest.
        """
