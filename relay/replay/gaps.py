"""What is missing between two entries of the history, as a client is told."""

from relay.feed.entries import Entry, missed_between
from relay.wire.notices import Gap, GapReason
from relay.wire.position import Position, before


def gap_before(channel: str, position: Position, entry: Entry) -> Gap | None:
    """Returns the gap between a client's position and the later entry that it gets next, if any."""
    missed = missed_between(position, entry)
    if missed == 0:
        return None
    return Gap(channel, position, before(entry.position), missed, _reason(position, entry))


def _reason(position: Position, entry: Entry) -> GapReason:
    unlinked = entry.event is None and entry.previous is None
    new_epoch = entry.position.epoch != position.epoch
    return GapReason.UNHEARD if unlinked and new_epoch else GapReason.EXPIRED
