"""Cuts runs of entries out of a ring, for the history."""

from bisect import bisect_left
from itertools import islice

from relay.feed.entries import Run
from relay.feed.ring import Item
from relay.feed.timeline import Timeline
from relay.wire import sse
from relay.wire.position import Position

RUN_BYTES = 1024 * 1024
"""The size at which a run ends, so that none keeps Redis busy for long."""


def run_after(timeline: Timeline, position: Position | None, max_entries: int) -> Run | None:
    """Returns the entries of one epoch that follow `position`; None if nothing follows.

    If the next entries were evicted from the ring, the run begins with its oldest message.
    """
    number = timeline.number_of(position) if position else None
    if number is not None and position is not None:
        count = timeline.segments[number].base + position.offset
        run = _messages(timeline, number, count, max_entries)
        if run is not None:
            return run
    first = max(-1 if number is None else number, _oldest_kept(timeline) - 1) + 1
    numbers = range(first, len(timeline.segments))
    runs = (_epoch_from(timeline, n, max_entries) for n in numbers)
    return next((run for run in runs if run is not None), None)


def _epoch_from(timeline: Timeline, number: int, max_entries: int) -> Run | None:
    segment = timeline.segments[number]
    messages = _messages(timeline, number, segment.count, max_entries)
    if segment.base != segment.count or segment.count < timeline.ring.dropped:
        return messages  # another process writes the boundary, or the entries after it are lost
    entries = [(segment.time_ms, b""), *(messages.entries if messages else ())]
    return Run(Position(segment.epoch, 0), segment.previous, entries)


def _oldest_kept(timeline: Timeline) -> int:
    """Returns the number of the first segment of which the ring has everything, or else the end.

    Of several that begin at one message it is the first: each boundary says what precedes it.
    """
    counts = [segment.count for segment in timeline.segments]
    number = bisect_left(counts, timeline.ring.dropped)
    is_whole = number < len(counts) and counts[number] == timeline.ring.dropped
    return number if is_whole else max(number - 1, 0)


def _messages(timeline: Timeline, number: int, count: int, max_entries: int) -> Run | None:
    ring, segment = timeline.ring, timeline.segments[number]
    following = timeline.segments[number + 1 : number + 2]
    end = following[0].index if following else ring.end
    count = max(count, ring.dropped)
    first = max(segment.index, ring.index_after(count) or 0, ring.start)
    entries: list[tuple[int, bytes]] = []
    size = 0
    for item in islice(ring.messages(first, end), max_entries):
        entries.append((item.time_ms, _stored(item)))
        size += len(item.frame)
        if size >= RUN_BYTES:
            break
    if not entries:
        return None
    return Run(Position(segment.epoch, count - segment.base + 1), None, entries)


def _stored(item: Item) -> bytes:
    """Returns the event as the history stores it; an event of a pattern carries its channel."""
    event = item.frame[item.note.event_at :]
    return sse.with_source(item.note.source, event) if item.note.source else event
