"""Where a new stream begins, without a history."""

import pytest

from relay.broker.link import Link
from relay.feed.ring import Ring
from relay.feed.start import Rewind, Since, Start
from relay.replay.locate import Locator
from relay.wire.position import Position
from tests.support.core import make_feed


@pytest.mark.parametrize("start", [Rewind(20), Rewind(3), Rewind(None), Since(0)])
async def test_a_heartbeat_before_the_first_marker_hides_no_past(start: Start) -> None:
    """One fell into the time in which Redis confirms a new channel; then nobody got its past."""
    feed = make_feed(Ring(100, 100_000))
    feed.heartbeat(1)
    feed.mark(1000, 2)
    feed.heartbeat(3)
    for text in (b"one", b"two", b"three"):
        feed.receive(text, 4)
    locator = Locator(feed, None, Link())
    place = locator.in_ring(start)
    if place is not None:
        assert feed.timeline.position_at(place) == Position(1000, 0)
        return
    began = await locator.begin(start, feed.timeline.position)
    assert began.at == Position(1000, 0)
