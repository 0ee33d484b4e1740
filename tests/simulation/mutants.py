"""Mutants of the real classes: the checks must catch every one."""

from collections.abc import Callable, Sequence
from dataclasses import replace as changed
from typing import Any

import pytest

from relay.feed import entries, feed
from relay.feed.backpressure import Backpressure
from relay.feed.entries import Entry, Run
from relay.feed.fanout import Fanout
from relay.feed.feed import Feed
from relay.feed.ring import Place
from relay.feed.timeline import Timeline
from relay.history import page_cache
from relay.history.history import Appended
from relay.history.journal import Journal
from relay.history.page_cache import PageCache
from relay.replay import gaps, replay
from relay.source.intake import Intake
from relay.source.session import Session
from relay.wire.notices import GapReason
from relay.wire.position import Position
from tests.simulation import redis
from tests.simulation.history import Stream
from tests.simulation.schedule import SHAKY, Flood, Schedule

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]


def contiguity_is_not_checked_by_readers(patch: Patch) -> None:
    def missed_between(at: Position, entry: Entry) -> int | None:
        return 0 if at.epoch == entry.position.epoch else entries.missed_between(at, entry)

    patch.setattr(feed, "missed_between", missed_between)
    patch.setattr(gaps, "missed_between", missed_between)


def contiguity_is_not_checked_by_the_history(patch: Patch) -> None:
    real = Stream.append

    def append(self: Stream, run: Run, **options: Any) -> Appended:
        appended = real(self, run, **{**options, "force": True})
        self.breaks.clear()
        return appended

    patch.setattr(Stream, "append", append)


def a_link_is_invented_after_a_rejoin(patch: Patch) -> None:
    def skip_to(
        self: Feed, epoch: int, missed: int | None, reason: GapReason, time_ms: int
    ) -> None:
        previous = self.timeline.position
        self._gap(Position(epoch, 0), missed, reason, time_ms)
        self.timeline.begin(epoch, previous, time_ms, whole=False)

    patch.setattr(Feed, "skip_to", skip_to)


def a_session_counts_before_its_first_marker(patch: Patch) -> None:
    early: dict[Session, list[bytes]] = {}
    real_take, real_first = Intake.take, Intake._first_marker

    def take(self: Intake, session: Session, messages: Sequence[Sequence[bytes]]) -> None:
        if session.epoch is None:
            early.setdefault(session, []).extend(m[2] for m in messages if m[1] == self._channel)
        real_take(self, session, messages)

    def first_marker(self: Intake, session: Session, epoch: int, now_ms: int) -> None:
        real_first(self, session, epoch, now_ms)
        for payload in early.pop(session, []):
            if session is self._live:
                self._feed.receive(payload, now_ms)

    patch.setattr(Intake, "take", take)
    patch.setattr(Intake, "_first_marker", first_marker)


def a_marker_resets_the_count_one_message_late(patch: Patch) -> None:
    waiting: dict[Feed, tuple[int, int]] = {}
    real_mark, real_receive = Feed.mark, Feed.receive

    def mark(self: Feed, epoch: int, time_ms: int) -> None:
        if self.timeline.position is None:
            real_mark(self, epoch, time_ms)
        else:
            waiting[self] = epoch, time_ms

    def receive(self: Feed, payload: bytes, time_ms: int, source: bytes = b"") -> None:
        real_receive(self, payload, time_ms, source)
        if self in waiting:
            real_mark(self, *waiting.pop(self))

    patch.setattr(Feed, "mark", mark)
    patch.setattr(Feed, "receive", receive)


def a_new_connection_counts_without_filling_the_hole(patch: Patch) -> None:
    def first_marker(self: Intake, session: Session, epoch: int, now_ms: int) -> None:
        session.epoch = epoch
        session.marked.set()
        self._live = session
        self._mark(epoch, now_ms)

    patch.setattr(Intake, "_first_marker", first_marker)


def the_journal_goes_on_without_the_history(patch: Patch) -> None:
    def go_back(self: Journal, run: Run, newest: Position | None, now: float) -> bool:
        self._stored_to = run.last
        return False

    patch.setattr(Journal, "_go_back", go_back)


def a_place_after_a_gap_is_one_too_far(patch: Patch) -> None:
    real = Timeline.find

    def find(self: Timeline, position: Position) -> Place | None:
        place, segment = real(self, position), self._segment_of(position)
        if place is None or segment is None or segment.whole or place.cursor == self.ring.end:
            return place
        return Place(place.cursor + 1, place.seen + 1)

    patch.setattr(Timeline, "find", find)


def a_dropped_notice_of_a_gap_is_forgotten(patch: Patch) -> None:
    patch.setattr(Timeline, "unbroken", lambda self, first, last: True)


def a_page_begins_with_what_the_client_has(patch: Patch) -> None:
    async def after(self: PageCache, at: Position) -> Sequence[Entry]:
        return await self._history.read(at, page_cache.PAGE_ENTRIES, page_cache.PAGE_BYTES)

    patch.setattr(PageCache, "after", after)


def what_is_missed_is_counted_with_the_next_message(patch: Patch) -> None:
    real = Timeline.missed_since

    def missed_since(self: Timeline, position: Position, place: Place) -> int | None:
        missed = real(self, position, place)
        return None if missed is None else missed + 1

    patch.setattr(Timeline, "missed_since", missed_since)


def a_boundary_is_linked_to_what_the_history_has(patch: Patch) -> None:
    real = Stream.append

    def append(self: Stream, run: Run, **options: Any) -> Appended:
        if run.first.offset == 0 and run.previous is None:
            run = changed(run, previous=self.newest())
        return real(self, run, **options)

    patch.setattr(Stream, "append", append)


def an_epoch_is_the_time_and_nothing_else(patch: Patch) -> None:
    patch.setattr(redis, "next_epoch", lambda now_us, *known: now_us)


def a_marker_that_was_counted_before_begins_a_hole(patch: Patch) -> None:
    real = Intake._promote_if_caught_up

    def promote_if_caught_up(self: Intake, session: Session, now_ms: int) -> None:
        session.overlapping = False
        real(self, session, now_ms)

    patch.setattr(Intake, "_promote_if_caught_up", promote_if_caught_up)


def an_old_connection_is_back_though_it_does_not_count(patch: Patch) -> None:
    patch.setattr(Intake, "counts", lambda self, session: True)


def a_client_that_is_ahead_is_not_waited_for(patch: Patch) -> None:
    patch.setattr(replay, "AHEAD_SECONDS", 0.0)


def who_is_kept_waiting_is_cut_as_stalled(patch: Patch) -> None:
    def cut_stalled(self: Fanout, seconds: float) -> bool:
        for subscriber in self._behind:
            subscriber.full = True
        return real(self, seconds)

    real = Fanout.cut_stalled
    patch.setattr(Fanout, "cut_stalled", cut_stalled)


def any_fanout_that_is_done_resumes_reading(patch: Patch) -> None:
    def resume_for(self: Backpressure, fanout: object) -> None:
        self._crowded.clear()
        for connection in self._connections.values():
            connection.resume()

    patch.setattr(Backpressure, "resume_for", resume_for)


def _shaky(seed: int) -> Schedule:
    return Schedule(seed, SHAKY)


MUTANTS: dict[Mutant, tuple[int, Callable[[int], Schedule]]] = {
    contiguity_is_not_checked_by_readers: (50, Schedule),
    contiguity_is_not_checked_by_the_history: (50, Schedule),
    a_link_is_invented_after_a_rejoin: (50, Schedule),
    a_session_counts_before_its_first_marker: (50, Schedule),
    a_marker_resets_the_count_one_message_late: (50, Schedule),
    a_new_connection_counts_without_filling_the_hole: (50, Schedule),
    the_journal_goes_on_without_the_history: (50, Schedule),
    a_place_after_a_gap_is_one_too_far: (50, Schedule),
    a_dropped_notice_of_a_gap_is_forgotten: (50, Schedule),
    a_page_begins_with_what_the_client_has: (50, Schedule),
    what_is_missed_is_counted_with_the_next_message: (100, Schedule),
    a_boundary_is_linked_to_what_the_history_has: (50, Schedule),
    an_epoch_is_the_time_and_nothing_else: (50, Schedule),
    a_client_that_is_ahead_is_not_waited_for: (50, Schedule),
    who_is_kept_waiting_is_cut_as_stalled: (100, Schedule),
    a_marker_that_was_counted_before_begins_a_hole: (400, _shaky),
    an_old_connection_is_back_though_it_does_not_count: (400, _shaky),
    any_fanout_that_is_done_resumes_reading: (1, Flood),
}
