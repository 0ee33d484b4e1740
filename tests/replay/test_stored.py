"""Where a stream of a stream channel begins, while entries are added."""

from typing import cast

import pytest

from relay.feed.entry_encoder import EntryEncoder
from relay.feed.ring import Ring
from relay.feed.start import Rewind, Start
from relay.feed.stored_feed import StoredFeed
from relay.history.stored_stream import START, Extract, StoredStream
from relay.replay.stored import StoredReplay
from relay.stats import Stats
from relay.wire.position import Position
from tests.support.core import HandClock, make_context


class Growing:
    """A stream to which an entry is added after each look at it; the first look finds none."""

    def __init__(self) -> None:
        self.length = -1

    async def read(self, after: Position, number: int, size_bytes: int) -> Extract:
        self.length += 1
        if not self.length:
            return Extract("none")
        last, entry = Position(self.length, 0), (b"1-0", [b"data", b"x"])
        return Extract("stream", last, self.length, self.length, START, entries=[entry])

    async def rewind(self, number: int) -> Position | None:
        self.length += 1
        return Position(max(self.length - number, 0) + 1, 0).predecessor if self.length else None


@pytest.mark.parametrize("start", [Rewind(None), Rewind(5)])
async def test_what_is_added_while_an_empty_stream_is_looked_at_is_not_skipped(
    start: Start,
) -> None:
    stats = Stats()
    feed = StoredFeed("s", Ring(4, 10_000), EntryEncoder("s", 1000, stats), stats)
    feed.begin(Position(9, 0))  # it began later than what is asked for
    stream = cast(StoredStream, Growing())
    replay = StoredReplay(feed, stream, make_context(HandClock()), 0)
    origin = await replay.begin(start, feed.timeline.position)
    assert origin.position == START
    assert origin.gap is None
