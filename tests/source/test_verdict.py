"""What became of a stream since it was read: nothing, trimmed, deleted, replaced, or another master's."""

from dataclasses import replace

import pytest

from relay.feed.ring import Ring
from relay.feed.stored_timeline import StoredTimeline
from relay.history.stored_stream import Extract
from relay.source.verdict import Missing, Verdict, judge, judge_beginning
from relay.wire.notices import GapReason
from relay.wire.position import Position

NONE, FINE, ENDS = Position(0, 0), Verdict(), Verdict(ends=True)
ENTRY = (b"20-0", [b"data", b"x"])
EXTRACT = Extract("stream", Position(20, 0), 5, 12, NONE, older=True, same=True, entries=[ENTRY])
GONE = replace(EXTRACT, older=False, same=False, length=1)


def timeline(*, ended: bool = False) -> StoredTimeline:
    """Of a feed that was at 10-0, when there had been 10 entries."""
    kept = StoredTimeline(Ring(100, 10_000))
    kept.begin(NONE, whole=False)
    for ms in range(1, 11):
        kept.append(ms, 0)
    kept.note_added(10, NONE)
    if ended:
        kept.end()
    return kept


def missing(end: Position, missed: int | None, reason: GapReason) -> Verdict:
    return Verdict(Missing(end, missed, reason))


BEFORE = Position(20, 0).predecessor
RESET, EXPIRED = GapReason.RESET, GapReason.EXPIRED


@pytest.mark.parametrize(
    ("extract", "settled", "verdict"),
    [
        (EXTRACT, True, FINE),
        (EXTRACT, False, FINE),
        # trimmed
        (replace(GONE, added=11), True, FINE),
        (replace(GONE, added=11), False, FINE),
        (GONE, True, missing(BEFORE, 1, EXPIRED)),
        (GONE, False, missing(BEFORE, None, EXPIRED)),
        (replace(GONE, deleted=Position(15, 0)), True, missing(BEFORE, None, EXPIRED)),
        (replace(GONE, added=None, deleted=None), True, missing(BEFORE, None, EXPIRED)),
        (replace(GONE, entries=(), length=0), True, missing(Position(20, 0), 2, EXPIRED)),
        # the entry at the position is gone although older ones are there
        (replace(EXTRACT, same=False), True, missing(BEFORE, None, RESET)),
        (replace(EXTRACT, same=False, deleted=Position(10, 0)), True, FINE),
        (replace(EXTRACT, same=False, added=None, deleted=None), True, FINE),
        (
            replace(EXTRACT, same=False, added=None, deleted=None),
            False,
            missing(BEFORE, None, RESET),
        ),
        # fewer entries than there were: another stream, or a master that lacks some
        (replace(GONE, added=3), True, missing(BEFORE, 2, RESET)),
        (replace(GONE, added=1), True, ENDS),
        (replace(GONE, added=3), False, missing(BEFORE, None, RESET)),
        # ids that are lower than before
        (
            Extract("stream", Position(9, 0), 9, 9, NONE),
            False,
            missing(Position(9, 0), None, RESET),
        ),
        (Extract("stream", Position(9, 0), 9, 9, NONE), True, missing(Position(9, 0), None, RESET)),
        (Extract("stream", Position(5, 5), 9, 9, NONE), True, Verdict(replaced=True)),
        (
            Extract("stream", Position(5, 5), 1001, 1001, NONE),
            True,
            missing(Position(5, 5), None, RESET),
        ),
        # no stream
        (Extract("none"), True, ENDS),
        (Extract("string"), True, ENDS),
        (Extract("none"), False, Verdict(Missing(Position(10, 0), None, RESET), ends=True)),
    ],
)
def test_what_became_of_a_stream(extract: Extract, settled: bool, verdict: Verdict) -> None:
    assert judge(timeline(), extract, settled=settled) == verdict


@pytest.mark.parametrize("settled", [True, False])
def test_after_a_stream_was_deleted_the_next_one_is_new(settled: bool) -> None:
    ended = timeline(ended=True)
    assert judge(ended, Extract("none"), settled=settled) == ENDS
    complete = replace(GONE, added=1)
    assert judge(ended, complete, settled=settled) == FINE
    trimmed = replace(GONE, added=4)
    assert judge(ended, trimmed, settled=settled) == missing(BEFORE, 3, EXPIRED)
    smaller = Extract("stream", Position(2, 0), 1, 1, NONE)
    assert judge(ended, smaller, settled=settled) == Verdict(replaced=True)
    assert judge_beginning(ended, complete) is None
    assert judge_beginning(ended, trimmed) == Missing(BEFORE, 3, EXPIRED)
    assert judge_beginning(timeline(), complete) == Missing(BEFORE, None, RESET)


def test_the_counts_of_a_stream_that_has_ended_say_nothing_of_the_next_one() -> None:
    """It had ten entries at 10-0; of the next one, with ids above, as many were trimmed unread."""
    kept = timeline()
    assert kept.added_at(Position(10, 0)) is not None
    kept.end()
    kept.append(20, 0)
    assert kept.added_at(Position(20, 0)) is None
