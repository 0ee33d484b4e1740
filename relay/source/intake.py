"""Decides which connection's messages count, and hands over to a new one without a hole.

A connection can number messages from its first marker on. The first connection of a process starts
there. A later connection may have a hole before it. So its messages are held back until the hole is
filled or given up.
"""

from collections.abc import Sequence

from relay.broker.link import Link, Live
from relay.clock import Clock
from relay.feed.entries import Entry
from relay.feed.feed import Feed
from relay.flag import Flag
from relay.source.session import Session
from relay.wire.notices import GapReason
from relay.wire.position import Position

MAX_EPOCH = 2**52
"""In microseconds it lies in the year 2112, and Lua and JavaScript know each greater number up to 2**53."""

MAX_HELD_BYTES = 64 * 1024 * 1024
"""The most that is held back. Beyond it the hole is given up."""


class Intake:
    """The messages and markers of one channel, from all connections of this process."""

    def __init__(self, feed: Feed, link: Link, clock: Clock) -> None:
        self._feed = feed
        self._channel = feed.channel.encode()
        self._readers = feed.readers
        self._link = link
        self._clock = clock
        self._live: Session | None = None
        self._next: Session | None = None
        self.promoted = Flag()
        """Set when no session is held back any more."""

    def take(self, session: Session, messages: Sequence[Sequence[bytes]]) -> None:
        """Takes the messages of one read on the channel and its marker channel, in order.

        Each is [b"message", channel, payload], or [b"pmessage", pattern, channel, payload].
        """
        now_ms = self._clock.now_ms()
        receive, channel = self._feed.receive, self._channel
        for message in messages:
            if message[1] != channel:
                self._marker(session, message[-1], now_ms)
            elif session is self._live:
                if len(message) == 3:
                    receive(message[2], now_ms)
                else:
                    receive(message[3], now_ms, message[2])
            elif session is self._next:
                self._hold(session, message[-1], message[2] if len(message) == 4 else b"", now_ms)
        self._readers.wake()

    def renewed(self) -> None:
        """Called after a new epoch was opened."""
        self._link.outdated.discard(self)

    @property
    def live(self) -> bool:
        """Whether messages reach the feed now, with no hole before them."""
        return self._source.live and self._next is None

    @property
    def interrupted(self) -> bool:
        """Whether the connection from which the feed gets its messages was lost and is not back yet."""
        return self._source.interrupted

    @property
    def _source(self) -> Live:
        """The link of the session that counts; before there was one, that of the process."""
        return self._live.link if self._live is not None else self._link

    def before(self, session: Session) -> Session | None:
        """Returns the session of another listener that counts until `session` does."""
        live = self._live
        return live if live is not None and live.link is not session.link else None

    def is_held(self, session: Session) -> bool:
        """Whether there may be a hole before the messages of `session`."""
        return session is self._next and not session.overlapping

    def counts(self, session: Session) -> bool:
        """Whether `session` counts, or will as soon as it has caught up with the feed."""
        return session is self._live or (session is self._next and session.overlapping)

    def is_outdone(self, session: Session) -> bool:
        """Whether the master before has brought a newer epoch than any marker of a held session.

        If it counted as it is, its ids would send every client back.
        """
        newest = self._feed.timeline.newest_epoch
        at = session.position
        return self.is_held(session) and at is not None and at.epoch < newest

    def give_up(self, session: Session) -> None:
        """Announces the rest of the hole as a gap on every stream, and lets `session` count."""
        if self.is_held(session) and session.epoch is not None:
            if not session.begin_above(self._feed.timeline.newest_epoch):
                self._link.outdated.add(self)
            now_ms = self._clock.now_ms()
            self._feed.skip_to(session.epoch, None, GapReason.REDIS_LOST, now_ms)
            self._promote(session, now_ms)

    def fill(self, session: Session, entry: Entry) -> None:
        """Appends an entry of the history to the feed, up to the first marker of `session`.

        At that marker `session` counts. An entry beyond it shows that the history lacks the marker:
        then the hole is given up.

        What is filled follows all that counted before. So the session of an old master counts no more,
        though it may deliver again: its messages would get the ids of other ones.
        """
        if not self.is_held(session) or session.epoch is None:
            return
        at = self._feed.timeline.position
        if at is not None and entry.position <= at:
            return  # the old connection has delivered it while the history was read
        if entry.position > (session.epoch, 0):
            self.give_up(session)
            return
        self._live = None
        self._feed.fill(entry, GapReason.REDIS_LOST)
        if entry.position == (session.epoch, 0):
            self._promote(session, self._clock.now_ms())
        self._readers.wake()

    def drop(self, session: Session) -> None:
        """Ignores everything that `session` receives from now on."""
        if session is self._live:
            self._live = None
        if session is self._next:
            self._next = None

    def _marker(self, session: Session, payload: bytes, now_ms: int) -> None:
        if not (payload.isdigit() and len(payload) <= 16 and int(payload) <= MAX_EPOCH):
            return  # not a marker of a hub
        epoch = int(payload)
        if session is self._live:
            self._mark(epoch, now_ms)
            if self._next is not None and self._next.epoch == epoch:
                self._promote(self._next, now_ms)  # the old connection has caught up: no hole
        elif session.epoch is None:
            self._first_marker(session, epoch, now_ms)
        elif session is self._next:
            session.position = Position(epoch, 0)
            if not session.overlapping:
                session.held.append(epoch)
            self._promote_if_caught_up(session, now_ms)

    def _mark(self, epoch: int, now_ms: int) -> None:
        at = self._feed.timeline.position
        if at is not None and epoch < at.epoch:
            self._link.outdated.add(self)
        self._feed.mark(epoch, now_ms)

    def _first_marker(self, session: Session, epoch: int, now_ms: int) -> None:
        session.epoch = epoch
        session.marked.set()
        for other in (self._live, self._next):
            if other is not None and other.is_newer_than(session):
                return  # its connection was silent, and is about to be ended
        if self._feed.timeline.position is not None:
            self._next = session
            self.promoted.clear()
            session.position = Position(epoch, 0)
            session.overlapping = self._feed.timeline.knows(session.position)
            self._promote_if_caught_up(session, now_ms)
        else:
            self._live = session
            self._mark(epoch, now_ms)

    def _promote_if_caught_up(self, session: Session, now_ms: int) -> None:
        """Lets an overlapping session count when it has caught up; until then it repeats messages."""
        if session.overlapping and session.position == self._feed.timeline.position:
            self._promote(session, now_ms)

    def _hold(self, session: Session, payload: bytes, source: bytes, now_ms: int) -> None:
        assert session.position is not None
        if session.overlapping:
            session.position = Position(session.position.epoch, session.position.offset + 1)
            self._promote_if_caught_up(session, now_ms)
            return
        if self.is_outdone(session):
            return  # it will begin at a later marker
        session.held.append((payload, source))
        session.held_bytes += len(payload)
        if session.held_bytes > MAX_HELD_BYTES:
            self.give_up(session)

    def _promote(self, session: Session, now_ms: int) -> None:
        self._live, self._next = session, None
        for item in session.held:
            if isinstance(item, int):
                self._mark(item, now_ms)
            else:
                self._feed.receive(item[0], now_ms, item[1])
        session.held.clear()
        self.promoted.set()
        self._readers.wake()
