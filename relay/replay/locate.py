"""Where in the history a new stream begins that asked for the last messages, or since a time.

Both functions raise RedisUnavailable when the history cannot be read.
"""

from relay.feed.feed import Feed
from relay.history.history import History
from relay.wire.notices import GapReason
from relay.wire.position import Position


async def before_last(feed: Feed, log: History, number: int | None) -> Position | None:
    """The position before the last `number` messages, or before all; None if the ring has more."""
    newest = await log.newest()
    if newest is None:
        return None
    # What the ring has and the log does not yet have counts as well.
    ahead = feed.missed_since(newest, feed.ring.place(feed.ring.end)) or 0
    first, found = await _first_of_last(log, number, ahead)
    if first is None or found + ahead <= feed.count - feed.ring.dropped:
        return None
    return before(first)


async def since(feed: Feed, log: History, time_ms: int) -> tuple[Position, GapReason | None] | None:
    """The position before the first message since then; with a reason where earlier ones are gone.

    None if the history has none that late.
    """
    first, reaches = await log.since(time_ms)
    if first is None:
        return None
    if reaches:
        return before(first), None
    return before(first), GapReason.EXPIRED if first.offset else GapReason.UNHEARD


def before(position: Position) -> Position:
    """Where a client is that is to get the entry at `position` next."""
    return Position(position.epoch, max(position.offset - 1, 0))


async def _first_of_last(
    log: History, number: int | None, ahead: int
) -> tuple[Position | None, int]:
    if number is not None:
        return await log.rewind(max(number - ahead, 0))
    oldest = await log.read(Position(1, 0), 1, 1)
    return (oldest[0].position, await log.length()) if oldest else (None, 0)
