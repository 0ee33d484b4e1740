"""What became of a stream since a feed read it last: a pure judgement of what Redis tells."""

from typing import NamedTuple

from relay.feed.stored_timeline import StoredTimeline
from relay.history.stored_stream import START, Extract
from relay.wire.notices import GapReason
from relay.wire.position import Position

FOLLOWED_ENTRIES = 1000
"""A stream that has replaced another one is followed from its beginning if it has no more entries."""


class Missing(NamedTuple):
    """A gap that ends at `end`."""

    end: Position
    missed: int | None
    reason: GapReason


class Verdict(NamedTuple):
    """What a feed has to do before it receives the entries of the extract."""

    missing: Missing | None = None
    """The gap to announce."""
    ends: bool = False
    """Whether the stream is there no more: what follows, perhaps in this extract, is of a new one."""
    replaced: bool = False
    """Whether there is a new stream, which is to be read from its beginning instead."""


def judge(timeline: StoredTimeline, extract: Extract, *, settled: bool) -> Verdict:
    """Judges the extract after the newest position of a feed.

    `settled`: the connection has seen every change of the key since the last read. While none stood, the
    stream may have been deleted, and another one may have been filled.
    """
    position = timeline.position
    assert position is not None
    if extract.kind != "stream":
        if position == START or timeline.ended or settled:
            return Verdict(ends=True)
        return Verdict(Missing(position, None, GapReason.RESET), ends=True)
    if timeline.ended and (extract.older or extract.last < position):
        return Verdict(replaced=True)
    if extract.last < position:
        return _shorter(timeline, extract, settled=settled)
    if _is_another(timeline, extract, position, settled=settled):
        return Verdict(Missing(start_of(extract), None, GapReason.RESET))
    missed, reason = _missed(timeline, extract, position, settled=settled)
    if missed == 0:
        return Verdict(ends=reason is GapReason.RESET)
    return Verdict(Missing(start_of(extract), missed, reason))


def judge_beginning(timeline: StoredTimeline, extract: Extract) -> Missing | None:
    """Judges a new stream by the extract from its beginning. None where nothing is missing."""
    if not timeline.ended:
        return Missing(start_of(extract), None, GapReason.RESET)
    missed = extract.missing(START, None) or 0
    return Missing(start_of(extract), missed, GapReason.EXPIRED) if missed else None


def start_of(extract: Extract) -> Position:
    """Returns the position just before the entries of an extract; where there are none, the last id."""
    return extract.first.predecessor if extract.first else extract.last


def _shorter(timeline: StoredTimeline, extract: Extract, *, settled: bool) -> Verdict:
    """The newest id is lower than before.

    On a new connection it is most likely the same stream at another master, which lacks the newest
    entries: clients have the others.
    """
    other = settled and not timeline.has(extract.last)
    if other and extract.length <= FOLLOWED_ENTRIES:
        return Verdict(replaced=True)
    return Verdict(Missing(extract.last, None, GapReason.RESET))


def _is_another(
    timeline: StoredTimeline, extract: Extract, position: Position, *, settled: bool
) -> bool:
    """Whether entries before the position are there, but not the one at it, and XDEL did not remove that.

    Trimming begins with the oldest. Where Redis does not tell of XDEL, a connection that has seen every
    change of the key takes it for that.
    """
    if not extract.older or extract.same or not timeline.at_message:
        return False
    added = timeline.added_at(position)
    if added is None or added.deleted is None or extract.deleted is None:
        return not settled
    return extract.deleted == added.deleted


def _missed(
    timeline: StoredTimeline, extract: Extract, position: Position, *, settled: bool
) -> tuple[int | None, GapReason]:
    if position == START or timeline.ended:
        # All of this stream came since. Before Redis 7.0 nobody knows whether more was there.
        return extract.missing(START, None) or 0, GapReason.EXPIRED
    added = timeline.added_at(position)
    if added is not None and extract.added is not None and extract.added < added.number:
        # It is another stream, or this master lacks what an old one had.
        seen = settled and not extract.older
        return (extract.added - extract.length if seen else None), GapReason.RESET
    missed = extract.missing(position, added)
    return (missed if settled or missed == 0 else None), GapReason.EXPIRED
