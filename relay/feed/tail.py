"""What a subscriber that is behind is sent next: the rest of the ring, piece by piece."""

from relay.feed.context import Context
from relay.feed.meter import Meter
from relay.feed.ring import Place
from relay.feed.source import Source
from relay.feed.subscriber import Subscriber
from relay.feed.writer import Chunk
from relay.wire.notices import GapReason


class Tail:
    """For the subscribers of one fan-out."""

    def __init__(self, source: Source, context: Context, meter: Meter) -> None:
        self._source = source
        self._ring = source.ring
        self._chunk_bytes = context.settings.client_buffer_bytes
        self._stats = context.stats
        self._meter = meter

    def next_chunk(self, subscriber: Subscriber) -> Chunk:
        """Returns what follows the cursor, with the notice of a gap before it. Moves the cursor."""
        ring = self._ring
        notice, subscriber.notice = subscriber.notice, b""
        if subscriber.cursor < ring.start:
            notice += self._eviction_notice(subscriber)
            subscriber.cursor = ring.start
        first = subscriber.cursor
        subscriber.cursor = ring.reach(first, self._chunk_bytes)
        subscriber.seen = ring.count_at(subscriber.cursor)
        subscriber.before = ring.note_before(subscriber.cursor)
        chunk = Chunk(notice + ring.join(first, subscriber.cursor))
        self._meter.sent(len(chunk.body), subscriber.seen - ring.count_at(first))
        return chunk

    def _eviction_notice(self, subscriber: Subscriber) -> bytes:
        place = Place(subscriber.cursor, subscriber.seen)
        notice = self._source.eviction_notice(place, subscriber.before)
        if notice:
            self._stats.gaps_slow_client += 1
            self._stats.gaps[GapReason.SLOW_CLIENT] += 1
        return notice
