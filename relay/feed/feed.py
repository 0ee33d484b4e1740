"""A channel of pub/sub in this process: its messages are numbered here, encoded once, kept in one ring."""

from relay.feed.channel_feed import MESSAGE, MESSAGE_NOTES, ChannelFeed, FeedEvent, Note
from relay.feed.encoder import Encoder
from relay.feed.entries import Entry, missed_between
from relay.feed.ring import Kind, Ring
from relay.feed.timeline import Timeline
from relay.stats import Stats
from relay.wire import sse
from relay.wire.notices import GapReason
from relay.wire.position import Position


class Feed(ChannelFeed):
    """Numbers messages of pub/sub, which carry no id, and appends them to the ring."""

    timeline: Timeline

    def __init__(self, channel: str, ring: Ring, encoder: Encoder, stats: Stats) -> None:
        super().__init__(channel, Timeline(ring), stats)
        self._encode = encoder.encode
        self._plain_bytes = encoder.plain_bytes

    # -- input

    def receive(self, payload: bytes, time_ms: int, source: bytes = b"") -> None:
        """Appends one message. `source` is the channel of a message received by a pattern."""
        timeline, stats = self.timeline, self._stats
        stats.messages += 1
        stats.received_bytes += len(payload)
        epoch, offset = timeline.epoch, timeline.advance()
        if len(payload) <= self._plain_bytes and payload.isascii():
            event = sse.message(payload)
        else:
            event = self._encode(payload, epoch, offset)
        if source:
            source = sse.quoted(source)
        frame = sse.numbered(epoch, offset, event)
        event_at = len(frame) - len(event)
        note = Note(MESSAGE, event_at, source) if source else MESSAGE_NOTES[event_at]
        self.ring.append(frame, timeline.count, time_ms, note)
        if self._followers:
            self._pass_on(FeedEvent(Position(epoch, offset), event, Kind.MESSAGE, source, time_ms))

    def mark(self, epoch: int, time_ms: int) -> None:
        """Begins the epoch of a marker that was received in order, with nothing missing before it."""
        timeline = self.timeline
        if epoch != timeline.epoch:
            whole = bool(timeline.segments)
            timeline.begin(epoch, timeline.position, time_ms, whole=whole)
            self.marked.set()

    def skip_to(self, epoch: int, missed: int | None, reason: GapReason, time_ms: int) -> None:
        """Announces a gap on every stream, then begins the epoch after it."""
        self._gap(Position(epoch, 0), missed, reason, time_ms)
        self.timeline.begin(epoch, None, time_ms, whole=False)

    def fill(self, entry: Entry, reason: GapReason) -> None:
        """Appends a message or boundary that the history has and this process did not receive."""
        timeline = self.timeline
        at = timeline.position
        assert at is not None
        missed = missed_between(at, entry)
        epoch, offset = entry.position
        before = Position(epoch, max(offset - 1, 0))
        if missed != 0:
            self._gap(before, missed, reason, entry.time_ms)
        if missed != 0 or epoch != at.epoch:
            whole = missed == 0
            timeline.begin(epoch, entry.previous, entry.time_ms, whole=whole, offset=before.offset)
        if entry.event is not None:
            timeline.advance()
            received = FeedEvent(
                entry.position, entry.event, Kind.MESSAGE, entry.source, entry.time_ms
            )
            self._append(received)
