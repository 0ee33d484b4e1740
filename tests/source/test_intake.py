"""Which session counts, where a channel moves from one master to another."""

from typing import cast

import pytest

from relay.broker.link import Link, MasterLink
from relay.feed.entries import Entry
from relay.feed.ring import Kind, Ring
from relay.source import intake
from relay.source.entered import Channel, Entered
from relay.source.intake import Intake
from relay.source.session import Session
from relay.wire.position import Position
from tests.support.core import HandClock, make_feed


class Moving:
    """A channel with a session at each of two masters."""

    def __init__(self) -> None:
        self.feed = make_feed(Ring(100, 100_000))
        self.link = Link()
        self.intake = Intake(self.feed, self.link, HandClock())
        self.old, self.new = Session(MasterLink(self.link)), Session(MasterLink(self.link))

    def mark(self, session: Session, epoch: int) -> None:
        self.intake.take(session, [[b"message", b"marker", b"%d" % epoch]])

    def say(self, session: Session, *payloads: bytes) -> None:
        self.intake.take(session, [[b"message", b"c", payload] for payload in payloads])

    def fill(self, epoch: int, offset: int) -> None:
        event = b"data: x\n\n" if offset else None
        self.intake.fill(self.new, Entry(Position(epoch, offset), event, None, 0))

    @property
    def position(self) -> Position | None:
        return self.feed.timeline.position


def test_what_an_old_master_brings_while_the_hole_is_filled_gets_no_id() -> None:
    """The ids after what was filled are those of other messages, or of the new master."""
    channel = Moving()
    channel.mark(channel.old, 100)
    channel.say(channel.old, b"a")
    channel.mark(channel.new, 300)
    channel.say(channel.old, b"b")
    assert channel.position == (100, 2)
    channel.fill(200, 0)
    channel.fill(200, 1)
    channel.say(channel.old, b"c")
    assert channel.position == (200, 1)
    channel.fill(300, 0)
    channel.say(channel.new, b"d")
    assert channel.position == (300, 1)


def test_a_session_is_displaced_when_another_one_takes_its_place() -> None:
    channel = Moving()
    entered = [Entered(cast(Channel, channel), MasterLink(channel.link), 0) for _ in range(2)]
    new, old_again = entered
    channel.mark(channel.old, 100)
    channel.mark(new.session, 200)
    assert [each.displaced for each in entered] == [False, False]
    channel.mark(old_again.session, 300)
    assert [each.displaced for each in entered] == [True, False]


def test_a_session_with_an_epoch_below_the_newest_begins_at_one_above_it() -> None:
    """Else its ids would send every client back."""
    channel = Moving()
    channel.mark(channel.old, 100)
    channel.mark(channel.new, 200)
    assert not channel.intake.is_outdone(channel.new)
    channel.mark(channel.old, 300)
    assert channel.intake.is_outdone(channel.new)
    channel.say(channel.new, b"a part of the hole")
    channel.mark(channel.new, 250)
    channel.say(channel.new, b"this as well")
    assert channel.intake.is_outdone(channel.new)
    channel.mark(channel.new, 400)
    channel.say(channel.new, b"first")
    channel.mark(channel.new, 500)
    channel.say(channel.new, b"second")
    assert not channel.intake.is_outdone(channel.new)
    channel.intake.give_up(channel.new)
    received = [*channel.feed.events_between(channel.feed.ring.start, channel.feed.ring.end)]
    assert [(str(each.position), each.kind) for each in received] == [
        ("400-0", Kind.GAP),
        ("400-1", Kind.MESSAGE),
        ("500-1", Kind.MESSAGE),
    ]
    assert channel.intake not in channel.link.outdated


def test_without_such_a_marker_a_new_epoch_is_asked_for() -> None:
    channel = Moving()
    channel.mark(channel.old, 100)
    channel.mark(channel.new, 200)
    channel.mark(channel.old, 300)
    channel.intake.give_up(channel.new)
    assert (channel.position, channel.intake in channel.link.outdated) == ((200, 0), True)


def test_what_the_old_connection_delivers_while_the_history_is_read_is_not_filled_again() -> None:
    channel = Moving()
    channel.mark(channel.old, 100)
    channel.say(channel.old, b"1")
    channel.mark(channel.new, 200)
    channel.say(channel.old, b"2", b"3")  # after the page from 2 on was asked for
    for offset in (2, 3):
        channel.fill(100, offset)
        assert channel.position == (100, 3)
    channel.fill(100, 4)
    assert channel.position == (100, 4)


def test_nothing_is_held_before_the_marker_at_which_it_will_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However much it is, it does not make the session count from its first marker on."""
    monkeypatch.setattr(intake, "MAX_HELD_BYTES", 2)
    channel = Moving()
    channel.mark(channel.old, 100)
    channel.mark(channel.new, 200)
    channel.mark(channel.old, 300)
    channel.say(channel.new, b"a part", b"of the hole")
    assert channel.intake.is_held(channel.new)
    channel.mark(channel.new, 400)
    channel.say(channel.new, b"too", b"much")
    assert channel.position == (400, 2)
