"""A page of the past: messages in order, and what is missing between them."""

from collections.abc import Sequence

from relay.feed.entries import Entry
from relay.history.history import Page
from relay.replay.gaps import gap_before
from relay.wire.notices import Gap, GapReason
from relay.wire.position import Position


def told(channel: str, page: Page, before: Position | None) -> Sequence[Entry | Gap]:
    """Returns the messages of a page that was read before a position, and the gaps.

    The gap up to that position belongs to this page, the gap before its first message to the next one.
    So pages of which each is read before the first message of another tell every gap once.
    """
    found: list[Entry | Gap] = []
    position: Position | None = None
    for entry in page.entries:
        gap = gap_before(channel, position, entry) if position else None
        found += [gap] if gap else []
        found += [entry] if entry.event is not None else []
        position = entry.position
    gap = _gap_to(channel, position, before, page.follower) if position and before else None
    return [*found, gap] if gap else found


def _gap_to(
    channel: str, position: Position, before: Position, follower: Entry | None
) -> Gap | None:
    """Returns what is missing from the newest entry of a page up to `before`."""
    if follower is not None and follower.position == before:
        return gap_before(channel, position, follower)
    unknown = Entry(before, b"" if before.offset else None, None, 0)
    gap = gap_before(channel, position, unknown)
    if gap is None or follower is not None:
        return gap
    # It is not stored yet, or no longer.
    return Gap(channel, gap.start, gap.end, gap.missed, GapReason.HISTORY_UNAVAILABLE)
