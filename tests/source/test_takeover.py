"""Which connection's messages count, where two of one listener have just entered a channel."""

import pytest

from relay.broker.link import Link
from relay.feed.ring import Ring
from relay.source.intake import Intake
from relay.source.session import Session
from tests.support.core import HandClock, make_feed

MARKER, CHANNEL = b"relay:{demo_stream}:marker", b"demo_stream"


@pytest.mark.parametrize("epochs_of_the_old", [(100, 101), (101,)])
def test_an_old_connection_that_wakes_up_does_not_take_over_from_the_new_one(
    epochs_of_the_old: tuple[int, ...],
) -> None:
    """A client asked for a channel while the old one was silent. Both enter it, then the old one ends."""
    link = Link()
    feed = make_feed(Ring(100, 10_000), "demo_stream")
    intake = Intake(feed, link, HandClock())
    old, new = Session(link, 1), Session(link, 2)
    for epoch in (100, 101):
        intake.take(new, [[b"message", MARKER, b"%d" % epoch]])
    for epoch in epochs_of_the_old:
        intake.take(old, [[b"message", MARKER, b"%d" % epoch]])
    assert old.marked.is_set()
    intake.drop(old)
    intake.take(new, [[b"message", CHANNEL, b"Test Event"]])
    assert intake.counts(new)
    assert feed.timeline.position == (101, 1)
