"""Open streams that have shown that they bring messages, and what publishes to them."""

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
"""Nothing was read for so long: time to see whether everything has come."""
PATIENCE_SECONDS = 5.0
"""Nothing was read for so long: what has not come is lost."""
SETTLE_SECONDS = 1.0

BYTES_PER_DELIVERY = 200
"""A message with its fields and framing, generously: what the tape has to hold."""


@dataclass(frozen=True, slots=True)
class Audience:
    """What a load has at hand."""

    loop: Loop
    crowd: Crowd
    publisher: Publisher
    meter: Meter

    def expect(self, messages: int) -> Ledger:
        """The ledger of the next phase."""
        ledger = Ledger(self.crowd.ledger.phase + 1)
        self.crowd.tape.reserve(messages * len(self.crowd) * BYTES_PER_DELIVERY)
        self.crowd.expect(ledger)
        return ledger

    def drain(self) -> Tally:
        """Reads until everything has come, or nothing comes any more."""
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
            elif read:  # the cost of a phase is counted to the moment it falls silent
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
    """Of a server that runs already."""
    with (
        Crowd(loop, running.address, running.path) as crowd,
        Publisher(loop, running.dialect) as publisher,
    ):
        crowd.open(streams, OPEN_SECONDS)
        _warm_up(loop, crowd, publisher)
        yield Audience(loop, crowd, publisher, Meter(running.child.pids(), place))
        running.child.require_alive()


def _warm_up(loop: Loop, crowd: Crowd, publisher: Publisher) -> None:
    """Publishes until every stream has brought a message. Raises BenchError when one does not."""
    ledger = Ledger(1)
    crowd.expect(ledger)
    for _ in range(WARM_UP_MESSAGES):
        at_rate(loop, [(publisher, ledger)], 10, 1)
        settle(loop)
        crowd.check()
        if all(stream.lost < len(ledger.tokens) for stream in crowd.receptions()):
            return
    raise BenchError("there are streams that bring no messages")


def settle(loop: Loop) -> None:
    """What was begun gets the time to end."""
    wait(loop, SETTLE_SECONDS)


def wait(loop: Loop, seconds: float) -> None:
    loop.run_until(time.perf_counter_ns() + int(seconds * 1e9))
