"""Brings every frame of a ring to every subscriber, each at its own pace."""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice

from relay.feed.context import Context
from relay.feed.ring import Place
from relay.feed.source import Source
from relay.feed.subscriber import Subscriber
from relay.feed.writer import Chunk, Writer

logger = logging.getLogger("relay")

SLICE = 512
"""Writers served before the event loop gets its turn, so that 10,000 do not freeze it."""

CATCH_UP_CHUNKS = 16
"""Chunks for one subscriber that is behind before the event loop gets its turn."""


class Fanout:
    """Live delivery, catching up and the slow-client rule are one mechanism: a cursor moves.

    `wake` starts a pass over the current subscribers. All that came in during one turn of the event
    loop goes out as one chunk, joined once and shared; while the loop is busy chunks grow (up to
    `chunk_bytes`, or one frame), so the cost of a message falls as the rate rises.
    """

    def __init__(self, source: Source, context: Context) -> None:
        self._source = source
        self._ring = ring = source.ring
        self._clock = context.clock
        self._chunk_bytes = context.settings.client_buffer_bytes
        self._stats = context.stats
        self._backpressure = context.backpressure
        self._current: dict[Subscriber, None] = {}
        self._behind: dict[Subscriber, None] = {}
        self._passing = False
        self._turn: Iterator[Subscriber] = iter(())
        self._chunks: dict[int, Chunk] = {}
        self._target_seen = 0
        self.target = ring.end
        """What lies before this index has been sent to every current subscriber, or is being sent."""
        source.readers.add(self)

    def __len__(self) -> int:
        return len(self._current) + len(self._behind)

    def join(self, writer: Writer, place: Place, greeting: bytes = b"") -> Subscriber:
        """From now on `writer` gets every frame of the ring from `place` on, after the greeting."""
        subscriber = self.hold(writer)
        self.release(subscriber, place, greeting)
        return subscriber

    def hold(self, writer: Writer) -> Subscriber:
        """A subscriber that gets nothing from here until it is released; it may be sent other things.

        It counts, and is cut when it stalls, like every other.
        """
        subscriber = Subscriber(writer, self._catch_up)
        self._behind[subscriber] = None
        return subscriber

    def release(self, subscriber: Subscriber, place: Place, notice: bytes = b"") -> None:
        """Goes on from the ring, after the notice."""
        subscriber.release(place, notice)
        if not subscriber.full:
            self._catch_up(subscriber)

    def send(self, subscriber: Subscriber, chunk: Chunk) -> None:
        """Sends a subscriber that is not current something of its own."""
        try:
            subscriber.send(chunk)
        except Exception:
            self._cut(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        """Forgets a subscriber; harmless when it is already gone."""
        subscriber.current = False
        self._current.pop(subscriber, None)
        self._behind.pop(subscriber, None)

    def wake(self) -> None:
        """Something was appended: it goes out in the next turn of the event loop."""
        if not self._passing:
            self._passing = True
            self._clock.call_soon(self._begin)
        if self._ring.crowded(self.target):
            self._backpressure.raise_by(self)

    def finish(self, last: Callable[[], bytes]) -> None:
        """Ends every stream properly, each with its own last frame."""
        for subscriber in [*self._current, *self._behind]:
            self.leave(subscriber)
            try:
                subscriber.writer.finish(Chunk(last()))
            except Exception:
                self._cut(subscriber)

    def cut_stalled(self, seconds: float) -> None:
        """Cuts whoever is behind and has taken nothing for `seconds`."""
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

    # -- a pass over the current subscribers, in slices

    def _begin(self) -> None:
        ring = self._ring
        first = max(self.target, ring.start)
        self.target = ring.reach(first, self._chunk_bytes)
        self._target_seen = ring.count_at(self.target)
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
        served = 0
        for subscriber in islice(self._turn, SLICE):
            served += 1
            cursor = subscriber.cursor
            if cursor >= target or not subscriber.current:
                continue
            chunk = chunks.get(cursor)
            if chunk is None:
                if cursor < self._ring.start:
                    self._catch_up(subscriber)
                    continue
                chunk = chunks[cursor] = Chunk(self._ring.join(cursor, target))
            subscriber.cursor = target
            subscriber.seen = seen
            try:
                took = subscriber.writer.send(chunk)
            except Exception:
                self._cut(subscriber)
                continue
            if not took:
                self._fall_behind(subscriber)
        if served == SLICE:
            self._clock.call_soon(self._slice)
        else:
            self._end()

    def _end(self) -> None:
        self._chunks = {}
        self._passing = self.target < self._ring.end
        if self._passing:
            self._clock.call_soon(self._begin)
        else:
            self._backpressure.lower_by(self)

    # -- one subscriber

    def _cut(self, subscriber: Subscriber) -> None:
        """Ends a stream whose writer has raised, so that its client comes back; no other one is touched."""
        logger.exception("A stream cannot be written to; this is a bug. Cutting the stream.")
        self.leave(subscriber)
        with suppress(Exception):
            subscriber.writer.abort()

    def _fall_behind(self, subscriber: Subscriber) -> None:
        if not subscriber.current:
            return
        subscriber.fall_behind(self._ring.note_before(subscriber.cursor))
        del self._current[subscriber]
        self._behind[subscriber] = None

    def _catch_up(self, subscriber: Subscriber) -> None:
        """Sends from the ring until the writer is full again or nothing is left."""
        self._fall_behind(subscriber)
        for _ in range(CATCH_UP_CHUNKS):
            if subscriber not in self._behind:
                return
            if subscriber.cursor == self._ring.end and not subscriber.notice:
                self._become_current(subscriber)
                return
            self.send(subscriber, self._next_chunk(subscriber))
            if subscriber.full:
                return
        self._clock.call_soon(self._catch_up, subscriber)

    def _become_current(self, subscriber: Subscriber) -> None:
        del self._behind[subscriber]
        self._current[subscriber] = None
        subscriber.current = True

    def _next_chunk(self, subscriber: Subscriber) -> Chunk:
        ring = self._ring
        notice, subscriber.notice = subscriber.notice, b""
        if subscriber.cursor < ring.start:
            notice += self._fallen(subscriber)
            subscriber.cursor = ring.start
        first = subscriber.cursor
        subscriber.cursor = ring.reach(first, self._chunk_bytes)
        subscriber.seen = ring.count_at(subscriber.cursor)
        subscriber.before = ring.note_before(subscriber.cursor)
        return Chunk(notice + ring.join(first, subscriber.cursor))

    def _fallen(self, subscriber: Subscriber) -> bytes:
        place = Place(subscriber.cursor, subscriber.seen)
        notice = self._source.fallen(place, subscriber.before)
        if notice:
            self._stats.gaps_slow_client += 1
        return notice
