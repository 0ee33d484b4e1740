"""A stream channel in this process: the entries of a Redis Stream, encoded once, kept in one ring."""

from collections.abc import Sequence

from relay.feed.channel_feed import MESSAGE, MESSAGE_NOTES, ChannelFeed, FeedEvent
from relay.feed.entry_encoder import DATA, EntryEncoder
from relay.feed.ring import Ring
from relay.feed.stored_timeline import StoredTimeline
from relay.stats import Stats
from relay.wire import sse
from relay.wire.notices import GapReason
from relay.wire.position import Position

RawEntry = tuple[bytes, Sequence[bytes]]
"""An entry as Redis returns it: its id, and its fields and values by turns."""


class StoredFeed(ChannelFeed):
    """Appends entries to the ring, each with its own id."""

    timeline: StoredTimeline

    def __init__(self, channel: str, ring: Ring, encoder: EntryEncoder, stats: Stats) -> None:
        super().__init__(channel, StoredTimeline(ring), stats)
        self.encoder = encoder
        self._plain_bytes = encoder.plain_bytes

    # -- input

    def begin(self, origin: Position) -> None:
        """Begins the feed: what comes after `origin` will be received."""
        self.timeline.begin(origin, whole=False)
        self.marked.set()

    def receive(self, entries: Sequence[RawEntry]) -> None:
        """Appends entries, which follow the newest position with nothing missing."""
        timeline, ring, plain_bytes = self.timeline, self.ring, self._plain_bytes
        size = 0
        for identity, words in entries:
            ms, _, number = identity.partition(b"-")
            milliseconds = int(ms)
            size += sum(map(len, words))
            if (
                len(words) == 2
                and words[0] == DATA
                and len(words[1]) <= plain_bytes
                and words[1].isascii()
            ):
                event = sse.message(words[1])
            else:
                event = self.encoder.encode_entry(words, milliseconds, int(number))
            count = timeline.append(milliseconds, int(number))
            note = MESSAGE_NOTES[len(identity) + 5]
            ring.append(b"id: %b\n%b" % (identity, event), count, milliseconds, note)
            if self._followers:
                position = Position(milliseconds, int(number))
                self._pass_on(FeedEvent(position, event, MESSAGE, b"", milliseconds))
        self._stats.messages += len(entries)
        self._stats.received_bytes += size

    def skip_to(self, end: Position, missed: int | None, reason: GapReason) -> None:
        """Announces a gap on every stream. Goes on after `end`, which may be below the newest position."""
        self._gap(end, missed, reason, end.epoch)
        self.timeline.begin(end, whole=False)

    def restart(self, origin: Position) -> None:
        """Goes on after `origin`, which may be below the newest position. Nothing is missing before it."""
        self.timeline.begin(origin, whole=True)
