"""Open streams that were shown to deliver messages, and the publisher to them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.client import Crowd
from bench.errors import BenchError
from bench.ledger import Ledger, Tally
from bench.loop import Loop
from bench.meter import Meter
from bench.publisher import Publisher, at_rate
from bench.servers import Place, Running, Server

OPEN_SECONDS = 60.0
WARM_UP_MESSAGES = 5
DRAIN_SECONDS = 120.0
QUIET_SECONDS = 0.5
"""After this long without a read, the counts are checked for completeness."""
PATIENCE_SECONDS = 5.0
"""After this long without a read, a missing message is lost."""
SETTLE_SECONDS = 1.0

BYTES_PER_DELIVERY = 200
"""An upper bound of a message with its fields and framing, for the size of the tape."""


@dataclass(frozen=True, slots=True)
class Audience:
    """The client's side of a load: streams, publisher and meter."""

    loop: Loop
    crowd: Crowd
    publisher: Publisher
    meter: Meter

    def expect(self, messages: int) -> Ledger:
        """Begins the next phase. Returns its ledger."""
        ledger = Ledger(self.crowd.ledger.phase + 1)
        self.crowd.tape.reserve(messages * len(self.crowd) * BYTES_PER_DELIVERY)
        self.crowd.expect(ledger)
        return ledger

    def drain(self) -> Tally:
        """Reads until every message was received, or nothing arrives any more."""
        deadline = time.perf_counter() + DRAIN_SECONDS
        self.meter.mark()
        last_read = time.perf_counter()
        while True:
            self._read_until_quiet(deadline)
            last_read = max(last_read, self.crowd.tape.last_ns / 1e9)
            tally = self.crowd.check()
            now = time.perf_counter()
            if not tally.lost or now > deadline or now - last_read > PATIENCE_SECONDS:
                return tally

    def _read_until_quiet(self, deadline: float) -> None:
        quiet_from = time.perf_counter()
        read = False
        while (now := time.perf_counter()) - quiet_from < QUIET_SECONDS and now < deadline:
            if self.loop.turn(0.01):
                quiet_from, read = now, True
            elif read:  # the cost of a phase ends when the streams fall silent
                self.meter.mark()
                read = False


@contextmanager
def audience(server: Server, place: Place, streams: int) -> Iterator[Audience]:
    with (
        server.start(place) as running,
        Loop() as loop,
        gathered(running, loop, place, streams) as audience,
    ):
        yield audience


@contextmanager
def gathered(running: Running, loop: Loop, place: Place, streams: int) -> Iterator[Audience]:
    """Opens the streams on a server that runs already."""
    with (
        running.crowd(loop) as crowd,
        Publisher(loop, running.dialect) as publisher,
    ):
        crowd.open(streams, OPEN_SECONDS)
        _warm_up(loop, crowd, publisher)
        yield Audience(loop, crowd, publisher, Meter(running.child.pids(), place))
        running.child.require_alive()


def _warm_up(loop: Loop, crowd: Crowd, publisher: Publisher) -> None:
    """Publishes until every stream has delivered a message. Raises BenchError if one does not."""
    ledger = Ledger(1)
    crowd.expect(ledger)
    for _ in range(WARM_UP_MESSAGES):
        at_rate(loop, [(publisher, ledger)], 10, 1)
        settle(loop)
        crowd.check()
        if all(stream.lost < len(ledger.tokens) for stream in crowd.receptions()):
            return
    raise BenchError("there are streams that deliver no messages")


def settle(loop: Loop) -> None:
    """Waits until the work under way has probably ended."""
    wait(loop, SETTLE_SECONDS)


def wait(loop: Loop, seconds: float) -> None:
    loop.run_until(time.perf_counter_ns() + int(seconds * 1e9))
