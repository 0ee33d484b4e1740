"""A simulated Redis: one order of everything; faults are switched on it."""

from typing import TYPE_CHECKING

from relay.broker.errors import RedisUnavailable
from relay.broker.keys import Keys
from relay.feed.entries import Run
from relay.history.history import Appended
from relay.wire.position import Position
from tests.simulation.broker import SimulatedBroker
from tests.simulation.clock import START_MS, World
from tests.simulation.history import Stream, next_epoch
from tests.simulation.network import Connection
from tests.simulation.stored import StoredKey
from tests.simulation.truth import Order, Violation

if TYPE_CHECKING:
    from tests.simulation.process import Process

PREFIX = "relay"


class SimulatedChannel:
    """One channel: what was published on it, its history and its counter."""

    def __init__(self, name: str, redis: "SimulatedRedis") -> None:
        self.name = name
        self.keys = Keys.of(PREFIX, name)
        self.order = Order()
        self.history = Stream(redis.now_ms)
        self.counter: int | None = None
        self._redis = redis

    @property
    def counts(self) -> bool:
        """Whether the counter holds the newest epoch, so that the clock does not matter."""
        return not self._redis.refusing and (self.counter or 0) >= self.order.epoch

    def order_of(self, position: Position) -> Order:
        """The order in which `position` counts."""
        return self.order

    # -- what the scripts do; each is executed at one moment

    def open_epoch(self, marker: str, known: int) -> tuple[int, bool]:
        redis = self._redis
        first = not known and self.counter is None and self.history.newest() is None
        if redis.refusing:
            redis.mend_clock()
        epoch = next_epoch(redis.now_us(), known, self.counter, self.history.newest())
        if not redis.refusing:
            self.counter = epoch
        return self._begin(marker, epoch), first

    def open_epoch_without_keys(self, marker: str, known: int) -> int:
        """While the slot of the channel is on its way to another node."""
        return self._begin(marker, next_epoch(self._redis.now_us(), known, None, None))

    def _begin(self, marker: str, epoch: int) -> int:
        self.order.mark(epoch)
        return self._redis.publish(marker, b"%d" % epoch)

    def append(self, run: Run, *, force: bool, size: int, keep_ms: int) -> Appended:
        before = self.history.newest()
        if self._redis.refusing:
            if run.last <= (before or Position(0, 0)):
                return Appended(0, before)
            raise RedisUnavailable("READONLY", refused=True)
        appended = self.history.append(run, force=force, size=size, keep_ms=keep_ms)
        self._check(before)
        return appended

    def trim(self, keep_ms: int) -> None:
        if self._redis.refusing and self.history.too_old(keep_ms):
            raise RedisUnavailable("READONLY", refused=True)
        self.history.trim(keep_ms)

    def _check(self, before: Position | None) -> None:
        """What was appended is true, follows (I2) and is linked only where nothing is missing (I3)."""
        entries = self.history.entries
        for index in range(len(entries) - 1, -1, -1):
            entry = entries[index]
            if before is not None and entry.position <= before:
                break
            order = self.order_of(entry.position)
            if entry.event is not None and entry.event != order.event(entry.position):
                raise Violation(f"I1: the history has another message at {entry.position}")
            if entry.previous is not None:
                same = order is self.order_of(entry.previous)
                if not same or order.place(entry.previous) != order.place(entry.position):
                    raise Violation(f"I3: {entry.position} is linked to {entry.previous}")
            elif entry.event is not None and entry.position not in self.history.breaks:
                last = entries[index - 1].position if index else None
                if last is not None and last != entry.position._replace(
                    offset=entry.position.offset - 1
                ):
                    raise Violation(
                        f"I2: a silent hole in the history between {last} and {entry.position}"
                    )


class SimulatedRedis:
    """One order of everything; faults are switched on it."""

    def __init__(self, world: World, names: list[str]) -> None:
        self.world = world
        self.connections: list[Connection] = []
        self.down = False
        self.refusing = False
        self.stopped_until = 0.0
        """SIGSTOP: it executes nothing until then, and then everything."""
        self._ahead_ms = 0
        self._frozen_ms: int | None = None
        self.channels = {name: SimulatedChannel(name, self) for name in names}
        self.streams: dict[str, StoredKey] = {}

    def broker(self, process: "Process") -> SimulatedBroker:
        """What this Redis is to one hub."""
        return SimulatedBroker(process)

    # -- the clock

    def now_us(self) -> int:
        return self.now_ms() * 1000

    def now_ms(self) -> int:
        if self._frozen_ms is not None:
            return self._frozen_ms
        return START_MS + self._ahead_ms + int(self.world.now * 1000)

    def stop_clock(self, back_ms: int) -> None:
        self._frozen_ms = self.now_ms() - back_ms

    def mend_clock(self) -> None:
        """From here on it is above every epoch: what numbering needs where the counter is lost."""
        self._frozen_ms = None
        newest = max(channel.order.epoch for channel in self.channels.values())
        self._ahead_ms += max(0, newest // 1000 + 1 - self.now_ms())

    @property
    def counts(self) -> bool:
        """Whether every counter holds the newest epoch, so that the clock does not matter."""
        return all(channel.counts for channel in self.channels.values())

    # -- commands

    def publish(self, channel: str, payload: bytes) -> int:
        if channel in self.channels:
            self.channels[channel].order.publish(payload)
        name, heard = channel.encode(), 0
        for connection in self.connections:
            if channel in connection.channels:
                connection.put([b"message", name, payload])
                heard += 1
        return heard

    # -- faults

    def flush(self) -> None:
        for channel in self.channels.values():
            channel.history.delete()
            channel.counter = None
        self.mend_clock()

    def promote(self, lost_entries: int, counters: dict[str, int | None]) -> None:
        """A replica takes over that lacks the newest entries and has older counters."""
        for name, channel in self.channels.items():
            channel.history.lose_tail(max(len(channel.history.entries) - lost_entries, 0))
            channel.counter = counters[name]
        self.mend_clock()
        self.disconnect_all()

    def disconnect_all(self) -> None:
        for connection in list(self.connections):
            connection.cut()
