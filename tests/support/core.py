"""The core without Redis and without a server: a clock that the test moves, a context, a feed."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from relay import conf
from relay.broker.broker import Broker
from relay.broker.link import Link
from relay.clock import Clock
from relay.feed.backpressure import Backpressure
from relay.feed.context import Context
from relay.feed.encoder import Encoder
from relay.feed.fanout import Fanout
from relay.feed.feed import Feed
from relay.feed.laggards import Laggards
from relay.feed.ring import Ring
from relay.feed.writer import Chunk
from relay.stats import Stats

EPOCH = 1_700_000_000_000


class HandClock:
    """An event loop and a clock that the test moves by hand."""

    def __init__(self) -> None:
        self.calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self.later: list[tuple[float, Callable[..., object], tuple[Any, ...]]] = []
        self.now = 0.0

    def call_soon(self, callback: Callable[..., object], *args: object) -> None:
        self.calls.append((callback, args))

    def call_at(self, when: float, callback: Callable[..., object], *args: object) -> "HandTimer":
        self.later.append((when, callback, args))
        return HandTimer(self, self.later[-1])

    def time(self) -> float:
        return self.now

    def now_ms(self) -> int:
        return round(self.now * 1000)

    def turn(self) -> None:
        for _ in range(len(self.calls)):
            callback, args = self.calls.popleft()
            callback(*args)

    def run(self) -> None:
        while self.calls:
            self.turn()


class HandTimer:
    def __init__(
        self, clock: HandClock, call: tuple[float, Callable[..., object], tuple[Any, ...]]
    ):
        self._clock, self._call = clock, call

    def cancel(self) -> None:
        if self._call in self._clock.later:
            self._clock.later.remove(self._call)


class FakeWriter:
    """Takes `room` chunks before it is full."""

    def __init__(self, room: float = float("inf")) -> None:
        self.room = room
        self.chunks: list[Chunk] = []
        self.finished = self.aborted = False

    @property
    def body(self) -> bytes:
        return b"".join(chunk.body for chunk in self.chunks)

    def on_ready(self, callback: Callable[[], None]) -> None:
        self._ready = callback

    def send(self, chunk: Chunk) -> bool:
        self.chunks.append(chunk)
        self.room -= 1
        return self.room > 0

    def drain(self, room: float) -> None:
        self.room = room
        self._ready()

    def progress(self) -> object:
        return len(self.chunks), self.room

    def finish(self, chunk: Chunk) -> None:
        self.chunks.append(chunk)
        self.finished = True

    def abort(self) -> None:
        self.aborted = True


class FanoutBench:
    """A ring and its fan-out, on an event loop that the test moves by hand."""

    def __init__(self, entries: int = 1000, chunk_bytes: int = 1000) -> None:
        self.loop = HandClock()
        context = make_context(self.loop, client_buffer_bytes=chunk_bytes)
        self.stats = context.stats
        self.laggards = context.laggards
        self.ring = Ring(entries, 1_000_000)
        self.feed = make_feed(self.ring, stats=self.stats)
        self.feed.mark(EPOCH, 0)
        self.fanout = Fanout(self.feed, context)


def make_context(clock: Clock, **settings: Any) -> Context:
    """A context whose broker is not to be used."""
    return Context(
        replace(conf.load(), **settings),
        cast(Broker, None),
        Link(),
        clock,
        Stats(),
        Backpressure(),
        Laggards(),
    )


def make_feed(ring: Ring, channel: str = "c", stats: Stats | None = None) -> Feed:
    stats = stats or Stats()
    return Feed(channel, ring, Encoder(channel, 1_000_000, stats), stats)
