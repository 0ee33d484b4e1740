"""Sends every frame of a ring to every subscriber, each at its own pace."""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice

from relay.feed.context import Context
from relay.feed.meter import Meter
from relay.feed.ring import Place
from relay.feed.source import Source
from relay.feed.subscriber import Subscriber
from relay.feed.tail import Tail
from relay.feed.writer import Chunk, Writer

logger = logging.getLogger("relay")

SLICE = 512
"""Subscribers served before the pass yields to the event loop, so that 10,000 do not block it."""

CATCH_UP_CHUNKS = 16
"""Chunks sent to one subscriber that is behind before it yields to the event loop."""


class Fanout:
    """Live delivery, catching up and the slow-client rule are one mechanism: a cursor moves.

    `wake` schedules a pass over the current subscribers. Everything received in one turn of the event
    loop is sent as one chunk, joined once and shared. While the loop is busy, chunks grow up to
    RELAY_CLIENT_BUFFER_BYTES, or one frame. So the cost of a message falls as the rate rises.
    """

    def __init__(self, source: Source, context: Context) -> None:
        self._source = source
        self._ring = ring = source.ring
        self._clock = context.clock
        self._chunk_bytes = context.settings.client_buffer_bytes
        self._stats = context.stats
        self._meter = Meter(context.clock, context.stats)
        self._tail = Tail(source, context, self._meter)
        self._backpressure = context.backpressure
        self._laggards = context.laggards
        self._current: dict[Subscriber, None] = {}
        self._behind: dict[Subscriber, None] = {}
        self._passing = False
        self._turn: Iterator[Subscriber] = iter(())
        self._chunks: dict[int, Chunk] = {}
        self._target_seen = 0
        self.target = ring.end
        """The index up to which every current subscriber was sent the ring, or is being sent it."""
        source.readers.add(self)

    def __len__(self) -> int:
        return len(self._current) + len(self._behind)

    @property
    def sizes(self) -> tuple[int, int]:
        """The number of subscribers that live passes serve, and that of all others."""
        return len(self._current), len(self._behind)

    def join(self, writer: Writer, place: Place, greeting: bytes = b"") -> Subscriber:
        """Sends the greeting, then every frame of the ring from `place` on."""
        subscriber = self.hold(writer)
        self.release(subscriber, place, greeting)
        return subscriber

    def hold(self, writer: Writer) -> Subscriber:
        """Returns a subscriber that is sent nothing from the ring until `release`.

        It counts as a subscriber and is cut when it stalls. `send` may be used meanwhile.
        """
        subscriber = Subscriber(writer, self._catch_up)
        self._behind[subscriber] = None
        self._laggards.add(self)
        return subscriber

    def release(self, subscriber: Subscriber, place: Place, notice: bytes = b"") -> None:
        """Sends the notice, then the ring from `place` on."""
        subscriber.release(place, notice)
        if not subscriber.full:
            self._catch_up(subscriber)

    def send(self, subscriber: Subscriber, chunk: Chunk) -> None:
        """Sends a chunk to one subscriber, which must not be current."""
        try:
            subscriber.send(chunk)
        except Exception:
            self._cut(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        """Removes a subscriber. May be called repeatedly."""
        subscriber.current = False
        self._current.pop(subscriber, None)
        self._behind.pop(subscriber, None)

    def wake(self) -> None:
        """Schedules a pass for the next turn of the event loop, after something was appended."""
        if not self._passing:
            self._passing = True
            self._clock.call_soon(self._begin)
        self._meter.woken()
        if self._ring.crowded(self.target):
            self._backpressure.pause_for(self)

    def finish(self, last: Callable[[], bytes]) -> None:
        """Ends every stream properly; `last` makes the last frame of each."""
        for subscriber in [*self._current, *self._behind]:
            self.leave(subscriber)
            try:
                subscriber.writer.finish(Chunk(last()))
            except Exception:
                self._cut(subscriber)

    def cut_stalled(self, seconds: float) -> bool:
        """Cuts every subscriber that has taken nothing for `seconds`. Returns whether any is behind."""
        now = self._clock.time()
        for subscriber in [s for s in self._behind if s.full]:
            try:
                stalled = subscriber.stalled_seconds(now) >= seconds
            except Exception:
                self._cut(subscriber)
                continue
            if stalled:
                self._stats.streams_cut += 1
                self.leave(subscriber)
                subscriber.writer.abort()
        return bool(self._behind)

    # -- a pass over the current subscribers, in slices

    def _begin(self) -> None:
        ring = self._ring
        first = max(self.target, ring.start)
        self.target = ring.reach(first, self._chunk_bytes)
        self._target_seen = ring.count_at(self.target)
        self._meter.begin(ring, self.target)
        self._chunks = {}
        self._turn = iter(list(self._current))
        self._slice()

    def _slice(self) -> None:
        try:
            self._serve()
        except Exception:
            self._passing = False  # else no later message would start a pass
            raise

    def _serve(self) -> None:
        target, seen, chunks = self.target, self._target_seen, self._chunks
        served = skipped = 0
        for subscriber in islice(self._turn, SLICE):
            served += 1
            cursor = subscriber.cursor
            if cursor >= target or not subscriber.current:
                skipped += 1
                continue
            chunk = chunks.get(cursor)
            if chunk is None:
                if cursor < self._ring.start:
                    skipped += 1
                    self._catch_up(subscriber)
                    continue
                chunk = chunks[cursor] = Chunk(self._ring.join(cursor, target))
                messages = seen - self._ring.count_at(cursor)
                self._meter.turn_to(len(chunk.body), messages, served - 1 - skipped)
            subscriber.cursor = target
            subscriber.seen = seen
            try:
                took = subscriber.writer.send(chunk)
            except Exception:
                self._cut(subscriber)
                continue
            if not took:
                self._fall_behind(subscriber)
        self._meter.end_slice(served - skipped)
        if served == SLICE:
            self._clock.call_soon(self._slice)
        else:
            self._end()

    def _end(self) -> None:
        self._chunks = {}
        self._meter.end()
        self._passing = self.target < self._ring.end
        if self._passing:
            self._clock.call_soon(self._begin)
        else:
            self._backpressure.resume_for(self)

    # -- one subscriber

    def _cut(self, subscriber: Subscriber) -> None:
        """Cuts a stream whose writer has raised, so that its client reconnects. Others go on."""
        _report_failure(subscriber)
        self.leave(subscriber)
        with suppress(Exception):
            subscriber.writer.abort()

    def _fall_behind(self, subscriber: Subscriber) -> None:
        if not subscriber.current:
            return
        subscriber.fall_behind(self._ring.note_before(subscriber.cursor))
        del self._current[subscriber]
        self._behind[subscriber] = None
        self._laggards.add(self)

    def _catch_up(self, subscriber: Subscriber) -> None:
        """Sends from the ring until the writer is full or nothing is left."""
        self._fall_behind(subscriber)
        for _ in range(CATCH_UP_CHUNKS):
            if subscriber not in self._behind:
                return
            if subscriber.cursor == self._ring.end and not subscriber.notice:
                self._become_current(subscriber)
                return
            self.send(subscriber, self._tail.next_chunk(subscriber))
            if subscriber.full:
                return
        self._clock.call_soon(self._catch_up, subscriber)

    def _become_current(self, subscriber: Subscriber) -> None:
        del self._behind[subscriber]
        self._current[subscriber] = None
        subscriber.current = True


def _report_failure(subscriber: Subscriber) -> None:
    extra = subscriber.log_fields()
    logger.exception(
        "A stream cannot be written to; this is a bug. Cutting the stream.", extra=extra
    )
