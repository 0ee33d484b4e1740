"""A simulated Redis, network and clients around real hubs, in virtual time, repeatable by its seed.

Everything of the hub is real but the two classes that talk to Redis (RedisAddress and RedisStream, replaced
by SimulatedAddress and SimulatedLog) and the connection to the client. Each hub has an event loop of
its own, so that it can hang or be killed at any moment. Whatever passes between hub, Redis and client
takes a random time; one Redis executes everything in one order, which `Order` remembers as the truth.
"""

import asyncio
import heapq
import json
import logging
import random
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace as changed
from types import SimpleNamespace, TracebackType
from typing import Any, Self
from unittest import mock

from relay import conf
from relay.broker import broker
from relay.broker.errors import RedisUnavailable
from relay.broker.keys import Keys
from relay.broker.subscription import Names
from relay.conf import Settings
from relay.engine import channel
from relay.engine import hub as hub_module
from relay.engine.hub import Hub
from relay.feed.entries import Entry, Run
from relay.feed.start import After, Live, Start
from relay.feed.writer import Chunk
from relay.history.history import Appended
from relay.source import intake
from relay.wire.position import Position
from relay.wire.sse import message

CHANNEL = "c"
KEYS = Keys.of("relay", CHANNEL)
START_MS = 1_700_000_000_000
COMMAND_SECONDS = 2.0
TURN_SECONDS = 20e-6
"""What one turn of a hub's event loop takes at the least."""


class Violation(AssertionError):
    """The protocol broke a promise."""


# -- time


class Handle:
    """A call that can be cancelled, as asyncio.Handle and asyncio.TimerHandle."""

    __slots__ = ("_when", "args", "callback", "gone")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], when: float) -> None:
        self.callback, self.args, self._when = callback, args, when
        self.gone = False

    def cancel(self) -> None:
        self.gone = True

    def cancelled(self) -> bool:
        return self.gone

    def when(self) -> float:
        return self._when


class World:
    """Virtual time: calls at moments; those of one moment keep their order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.calls_made = 0
        self._calls: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._serial = 0

    def after(self, seconds: float, callback: Callable[..., object], *args: object) -> None:
        self._serial += 1
        heapq.heappush(self._calls, (self.now + seconds, self._serial, callback, args))

    def run(self, seconds: float) -> None:
        """Lets this much time pass."""
        end = self.now + seconds
        calls = self._calls
        while calls and calls[0][0] <= end:
            self.now, _, callback, args = heapq.heappop(calls)
            self.calls_made += 1
            callback(*args)
        self.now = end

    def delay(self) -> float:
        """What a way through the network takes: mostly short, now and then long."""
        chance = self.random.random()
        mean = 0.0005 if chance < 0.8 else 0.005 if chance < 0.96 else 0.04
        return self.random.expovariate(1 / mean)


class VirtualLoop(asyncio.AbstractEventLoop):
    """The event loop of one process. One that is suspended, or has ended, runs nothing."""

    def __init__(self, world: World, skew_ms: int) -> None:
        self._world = world
        self._ready: deque[Handle] = deque()
        self._turning = False
        self._skew_ms = skew_ms
        self._tasks: list[asyncio.Task[Any]] = []
        self.suspended = False
        self.ended = False

    def end(self) -> None:
        """SIGKILL: what was under way goes no further."""
        self.ended = True
        for task in self._tasks:
            if not task.done():
                task.get_coro().close()  # type: ignore[union-attr]
        self._tasks.clear()

    def wall_ns(self) -> int:
        return (START_MS + self._skew_ms + int(self._world.now * 1000)) * 1_000_000

    def resume(self) -> None:
        self.suspended = False
        self._wake()

    # -- asyncio.AbstractEventLoop, as far as it is needed

    def time(self) -> float:
        return self._world.now

    def get_debug(self) -> bool:
        return False

    def is_closed(self) -> bool:
        return self.ended

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> Any:
        task = asyncio.Task(coro, loop=self, name=name)
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # kill -9 is no mistake
        if len(self._tasks) >= 500:
            self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(task)
        return task

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        handle = Handle(callback, args, self._world.now)
        if not self.ended:
            self._ready.append(handle)
            self._wake()
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        return self.call_at(self._world.now + delay, callback, *args)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        handle = Handle(callback, args, when)
        if not self.ended:
            self._world.after(max(when - self._world.now, 0.0), self._expire, handle)
        return handle

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.ended:
            raise Violation(f"an exception in a hub: {context}") from context.get("exception")

    # -- turns

    def _expire(self, handle: Handle) -> None:
        if not handle.gone and not self.ended:
            self._ready.append(handle)
            self._wake()

    def _wake(self) -> None:
        if not self._turning and not self.suspended:
            self._turning = True
            self._world.after(TURN_SECONDS, self.turn)

    def turn(self) -> None:
        self._turning = False
        if self.suspended or self.ended:
            return
        ready = self._ready
        asyncio._set_running_loop(self)
        try:
            for _ in range(len(ready)):
                handle = ready.popleft()
                if not handle.gone:
                    handle.callback(*handle.args)
        finally:
            asyncio._set_running_loop(None)
        if ready and not self.ended:
            self._wake()

    @contextmanager
    def running(self) -> Iterator[None]:
        """For calls from outside that need a running loop."""
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)


# -- the truth


class Order:
    """Every message ever published, by its number from 1, and where each epoch began."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self._bases: dict[int, int] = {}
        self._counts: dict[int, int] = {}
        self.epoch = 0
        self.may_go_back = False
        """The counter, the log and the time are lost at once: an epoch may be below the newest."""

    @property
    def newest(self) -> Position | None:
        return Position(self.epoch, self._counts[self.epoch]) if self.epoch else None

    def publish(self, payload: bytes) -> None:
        self.payloads.append(payload)
        if self.epoch:
            self._counts[self.epoch] += 1

    def mark(self, epoch: int) -> None:
        if epoch in self._bases or (epoch < self.epoch and not self.may_go_back):
            raise Violation(f"epoch {epoch} after {self.epoch}: ids can repeat")
        self.epoch = epoch
        self._bases[epoch] = len(self.payloads)
        self._counts[epoch] = 0

    def place(self, position: Position) -> int:
        """How many messages were published up to and with `position`, which must exist."""
        count = self._counts.get(position.epoch, -1)
        if position.offset > count:
            raise Violation(f"{position} was never an id")
        return self._bases[position.epoch] + position.offset

    def event(self, position: Position) -> bytes:
        """The event, without its id, that has the id `position`."""
        return message(self.payloads[self.place(position) - 1])


# -- what the scripts do


class Stream:
    """The log as relay/broker/scripts keep it in a Redis Stream, with every MAXLEN exact."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._expires_ms: float = float("inf")
        self._last = Position(0, 0)
        self._entries: list[Entry] = []
        self.breaks: set[Position] = set()

    @property
    def entries(self) -> list[Entry]:
        """Those that are there; a key whose time has come is gone as a whole."""
        if self._now_ms() >= self._expires_ms:
            self.delete()
        return self._entries

    def delete(self) -> None:
        self._entries = []
        self.breaks = set()
        self._last = Position(0, 0)
        self._expires_ms = float("inf")

    def lose_tail(self, kept: int) -> None:
        """What a replica has that did not receive everything."""
        del self.entries[kept:]
        self._last = self._entries[-1].position if self._entries else Position(0, 0)

    def lose_head(self, number: int) -> None:
        """XTRIM: the entries go, the key and its last id stay."""
        del self.entries[:number]

    def append(self, run: Run, *, force: bool, size: int, keep_ms: int) -> Appended:
        newest, number = self.newest(), 0
        for offset, (time_ms, event) in enumerate(run.entries, run.first.offset):
            position = Position(run.first.epoch, offset)
            if newest is not None and position <= newest:
                continue
            follows = newest == (
                run.previous if offset == 0 else Position(run.first.epoch, offset - 1)
            )
            follows = follows and newest is not None
            if not follows and not force:
                break
            self._add(position, time_ms, event, run.previous if follows else None, follows)
            newest, force = position, False
            number += 1
        del self._entries[:-size]
        if number:
            self._expires_ms = self._now_ms() + keep_ms
        return Appended(number, newest)

    def _add(
        self,
        position: Position,
        time_ms: int,
        event: bytes,
        previous: Position | None,
        follows: bool,
    ) -> None:
        if position <= self._last:
            return  # "equal or smaller": it was there
        boundary = position.offset == 0
        entry = Entry(
            position, None if boundary else event, previous if boundary else None, time_ms
        )
        self._entries.append(entry)
        self._last = position
        if not boundary and not follows:
            self.breaks.add(position)

    def newest(self) -> Position | None:
        entries = self.entries
        return entries[-1].position if entries else None

    def read(self, first: Position, number: int, size_bytes: int) -> list[Entry]:
        found = []
        for entry in self.entries[self._index(first) :][:number]:
            if size_bytes <= 0:
                break
            found.append(entry)
            size_bytes -= 64 + self._size(entry)
        return found

    def _size(self, entry: Entry) -> int:
        size = len("t") + len(str(entry.time_ms))
        if entry.event is not None:
            size += len("e") + len(entry.event)
        if entry.previous is not None:
            size += len("p") + len(str(entry.previous))
        return size + (len("b1") if entry.position in self.breaks else 0)

    def _index(self, position: Position) -> int:
        """Of the first entry at or after `position`."""
        entries = self.entries
        low, high = 0, len(entries)
        while low < high:
            middle = (low + high) // 2
            if entries[middle].position < position:
                low = middle + 1
            else:
                high = middle
        return low

    def too_old(self, keep_ms: int) -> int:
        """How many entries `trim` would drop."""
        oldest, number = self._now_ms() - keep_ms, 0
        for entry in self.entries[:-1]:
            if entry.time_ms >= oldest:
                break
            number += 1
        return number

    def trim(self, keep_ms: int) -> None:
        self.lose_head(self.too_old(keep_ms))

    def rewind(self, number: int) -> tuple[Position | None, int]:
        messages = [e.position for e in self.entries if e.event is not None]
        last = messages[-number:] if number else []
        return (last[0] if last else None), len(last)

    def since(self, time_ms: int) -> tuple[Position | None, bool]:
        entries = self.entries
        found, newest = None, len(entries) - 1
        while newest >= 0 and entries[newest].time_ms >= time_ms:
            epoch, high = entries[newest].position
            first = self._index(Position(epoch, 0))
            low = entries[first].position.offset
            if entries[first].time_ms < time_ms:
                return entries[self._halve(epoch, low, high, time_ms)].position, True
            found, newest = entries[first].position, first - 1
        return found, newest >= 0

    def _halve(self, epoch: int, low: int, high: int, time_ms: int) -> int:
        while high - low > 1:
            middle = (low + high) // 2
            if self.entries[self._index(Position(epoch, middle))].time_ms >= time_ms:
                high = middle
            else:
                low = middle
        return self._index(Position(epoch, high))


def next_epoch(now_ms: int, known: int, counter: int | None, newest: Position | None) -> int:
    """What relay/broker/scripts/epoch_open.lua takes."""
    return max(now_ms, known + 1, (counter or 0) + 1, (newest.epoch if newest else 0) + 1)


# -- Redis


class SimulatedRedis:
    """One order of everything; faults are switched on it."""

    def __init__(self, world: World, size: int, keep_ms: int) -> None:
        self.world = world
        self.order = Order()
        self.log = Stream(self.now_ms)
        self.counter: int | None = None
        self.connections: list[Connection] = []
        self.down = False
        self.refusing = False
        self.size, self.keep_ms = size, keep_ms
        self._ahead_ms = 0
        self._frozen_ms: int | None = None

    # -- the clock

    def now_ms(self) -> int:
        if self._frozen_ms is not None:
            return self._frozen_ms
        return START_MS + self._ahead_ms + int(self.world.now * 1000)

    def stop_clock(self, back_ms: int) -> None:
        self._frozen_ms = self.now_ms() - back_ms

    def mend_clock(self) -> None:
        """From here on it is above every epoch: what numbering needs where the counter is lost."""
        self._frozen_ms = None
        self._ahead_ms += max(0, self.order.epoch + 1 - self.now_ms())

    @property
    def counts(self) -> bool:
        """Whether the counter holds the newest epoch, so that the clock does not matter."""
        return not self.refusing and (self.counter or 0) >= self.order.epoch

    # -- commands; each is executed at one moment

    def publish(self, channel: str, payload: bytes) -> int:
        if channel == CHANNEL:
            self.order.publish(payload)
        name, heard = channel.encode(), 0
        for connection in self.connections:
            if channel in connection.channels:
                connection.put([b"message", name, payload])
                heard += 1
        return heard

    def open_epoch(self, known: int) -> int:
        if self.refusing:
            self.mend_clock()
        epoch = next_epoch(self.now_ms(), known, self.counter, self.log.newest())
        if not self.refusing:
            self.counter = epoch
        self.order.mark(epoch)
        return self.publish(KEYS.marker, b"%d" % epoch)

    def append(self, run: Run, force: bool) -> Appended:
        before = self.log.newest()
        if self.refusing:
            if run.last <= (before or Position(0, 0)):
                return Appended(0, before)
            raise RedisUnavailable("READONLY", refused=True)
        appended = self.log.append(run, force=force, size=self.size, keep_ms=self.keep_ms)
        self._check(before)
        return appended

    def _check(self, before: Position | None) -> None:
        """What was appended is true, follows (I2) and is linked only where nothing is missing (I3)."""
        entries, order = self.log.entries, self.order
        for index in range(len(entries) - 1, -1, -1):
            entry = entries[index]
            if before is not None and entry.position <= before:
                break
            if entry.event is not None and entry.event != order.event(entry.position):
                raise Violation(f"I1: the log has another message at {entry.position}")
            if entry.previous is not None:
                if order.place(entry.previous) != order.place(entry.position):
                    raise Violation(f"I3: {entry.position} is linked to {entry.previous}")
            elif entry.event is not None and entry.position not in self.log.breaks:
                last = entries[index - 1].position if index else None
                if last is not None and last != entry.position._replace(
                    offset=entry.position.offset - 1
                ):
                    raise Violation(
                        f"I2: a silent hole in the log between {last} and {entry.position}"
                    )

    def trim(self) -> None:
        if self.refusing and self.log.too_old(self.keep_ms):
            raise RedisUnavailable("READONLY", refused=True)
        self.log.trim(self.keep_ms)

    # -- faults

    def flush(self) -> None:
        self.log.delete()
        self.counter = None
        self.mend_clock()

    def promote(self, lost_entries: int, counter: int | None) -> None:
        """A replica takes over that lacks the newest entries and has an older counter."""
        self.log.lose_tail(max(len(self.log.entries) - lost_entries, 0))
        self.counter = counter
        self.mend_clock()
        self.disconnect_all()

    def disconnect_all(self) -> None:
        for connection in list(self.connections):
            connection.cut()


Item = list[bytes] | str
CONFIRMED, PONG, END = "confirmed", "pong", "end"


class Connection:
    """What Subscription is to the listener: a run of the one order, first in, first out."""

    def __init__(self, process: "Process", receive: Callable[[Any], None]) -> None:
        self._process = process
        self._world = process.world
        self._redis = process.redis
        self._receive = receive
        self._incoming: deque[Item] = deque()
        self._arriving = False
        self._stalled_until = 0.0
        self._paused = False
        self._aborted = False
        self._deaf = False
        self.channels: set[str] = set()
        self.heard = False
        self._subscribing: deque[asyncio.Future[None]] = deque()
        self.closed: asyncio.Future[str] = process.loop.create_future()

    # -- for the listener

    async def subscribe(self, names: Names) -> None:
        confirmed: asyncio.Future[None] = self._process.loop.create_future()
        self._subscribing.append(confirmed)
        self._later(self.attach, names.channels)
        await confirmed

    def ping(self) -> None:
        self.heard = False
        self._later(self.put, PONG)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self.heard = True
        self._paused = False
        self._expect()

    def abort(self, reason: str) -> None:
        if not self._aborted and self._process.alive:
            self._aborted = True
            self._later(self.detach)
            if not self.closed.done():
                self.closed.set_result(reason)

    # -- at Redis

    def attach(self, channels: Iterable[str]) -> None:
        first = not self.channels
        if self._redis.down or not (first or self in self._redis.connections):
            self.put(END)
        elif not self._aborted:
            self.channels.update(channels)
            if first:
                self._redis.connections.append(self)
            self.put(CONFIRMED)

    def detach(self) -> None:
        if self in self._redis.connections:
            self._redis.connections.remove(self)

    def put(self, item: Item) -> None:
        if (
            not self._deaf
            and not self._aborted
            and (item != PONG or self in self._redis.connections)
        ):
            self._incoming.append(item)
            self._expect()

    def cut(self) -> None:
        """The connection ends; a part of what is on its way still arrives."""
        self._truncate()
        self.put(END)
        self.detach()

    def deafen(self) -> None:
        """Half open: nothing arrives any more, and nobody says so."""
        self._truncate()
        self._deaf = True

    def stall(self, seconds: float) -> None:
        """Nothing arrives for a while, then everything."""
        self._stalled_until = self._world.now + seconds

    # -- on the way

    def _truncate(self) -> None:
        for _ in range(self._world.random.randint(0, len(self._incoming))):
            self._incoming.pop()

    def _later(self, callback: Callable[..., object], *args: object) -> None:
        pause = max(self._process.unplugged_until - self._world.now, 0.0)
        self._world.after(pause + self._world.delay(), callback, *args)

    def _expect(self) -> None:
        if not self._arriving and self._incoming:
            self._arriving = True
            until = max(self._stalled_until, self._process.unplugged_until)
            self._world.after(max(until - self._world.now, 0.0) + self._world.delay(), self._arrive)

    def _arrive(self) -> None:
        self._arriving = False
        if self._aborted or self._paused or not self._process.alive:
            return
        if max(self._stalled_until, self._process.unplugged_until) <= self._world.now:
            number = len(self._incoming)
            if self._world.random.random() < 0.4:
                number = self._world.random.randint(1, max(number, 1))
            items = [self._incoming.popleft() for _ in range(min(number, len(self._incoming)))]
            self._process.loop.call_soon(self._read, items)
        self._expect()

    def _read(self, items: Sequence[Item]) -> None:
        if self._aborted:
            return
        self.heard = True
        messages = [item for item in items if isinstance(item, list)]
        for _ in range(items.count(CONFIRMED)):
            confirmed = self._subscribing.popleft()
            if not confirmed.done():
                confirmed.set_result(None)
        if messages:
            self._receive(messages)
        if END in items:
            self._end()

    def _end(self) -> None:
        for waiting in self._subscribing:
            if not waiting.done():
                waiting.set_exception(ConnectionError("refused"))
                waiting.exception()
        if not self.closed.done():
            self.closed.set_result("Redis closed the connection")


class SimulatedAddress:
    """What relay.subscription.RedisAddress is to the hub; the URL is the number of a process."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self.name = "simulated"

    def client(self) -> "Process":
        return self._process

    async def publish(self, channel: str, payload: bytes) -> None:
        try:
            await self._process.request(lambda: self._process.redis.publish(channel, payload))
        except RedisUnavailable as error:
            raise ConnectionError(str(error)) from None

    async def connect(self, names: Names, receive: Callable[[Any], None]) -> Connection:
        connection = Connection(self._process, receive)
        try:
            await connection.subscribe(names)
        except BaseException:
            connection.abort("the attempt was given up")
            raise
        return connection


class SimulatedCommands:
    """What relay.commands.Commands is to the hub: here the log speaks to Redis by itself."""

    def __init__(self, connect: Callable[[], "Process"]) -> None:
        self.process = connect()

    async def renew(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


class NoKicks:
    """Nobody is kicked here."""

    def __init__(self, *words: Any) -> None:
        pass

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()


class NoPresence(NoKicks):
    """Nobody is counted here."""

    def enter(self, names: Iterable[str], user: str) -> None:
        pass

    def leave(self, names: Iterable[str], user: str) -> None:
        pass


class SimulatedEpochs:
    """What relay.source.epochs.Epochs is to the listener."""

    def __init__(self, commands: SimulatedCommands, keys: Keys) -> None:
        self._process = commands.process

    async def open(self, known: int) -> int:
        redis = self._process.redis
        return int(await self._process.request(lambda: redis.open_epoch(known)))


class SimulatedLog:
    """A relay.history.History: each method is a request that Redis executes at some later moment."""

    def __init__(self, commands: SimulatedCommands, keys: Keys, size: int, seconds: float) -> None:
        self._process = commands.process
        self._redis = self._process.redis

    async def append(self, run: Run, *, force: bool) -> Appended:
        result: Appended = await self._process.request(lambda: self._redis.append(run, force))
        return result

    async def newest(self) -> Position | None:
        newest: Position | None = await self._process.request(self._redis.log.newest)
        return newest

    async def length(self) -> int:
        return int(await self._process.request(lambda: len(self._redis.log.entries)))

    async def read(self, first: Position, number: int, size_bytes: int) -> Sequence[Entry]:
        def read() -> list[Entry]:
            return self._redis.log.read(first, number, size_bytes)

        found: list[Entry] = await self._process.request(read)
        return found

    async def trim(self) -> None:
        await self._process.request(self._redis.trim)

    async def rewind(self, number: int) -> tuple[Position | None, int]:
        found: tuple[Position | None, int] = await self._process.request(
            lambda: self._redis.log.rewind(number)
        )
        return found

    async def since(self, time_ms: int) -> tuple[Position | None, bool]:
        found: tuple[Position | None, bool] = await self._process.request(
            lambda: self._redis.log.since(time_ms)
        )
        return found


# -- processes


class Process:
    """A real hub with an event loop of its own."""

    def __init__(self, world: World, redis: SimulatedRedis, settings: Settings, name: int) -> None:
        self.world = world
        self.redis = redis
        self.name = name
        self.loop = VirtualLoop(world, world.random.choice([0, 0, world.random.randint(-300, 300)]))
        self.alive = True
        self.stopping = False
        self.unplugged_until = 0.0
        self.flaky = 0.0
        """The share of commands whose answer is lost."""
        self.writers: list[Writer] = []
        self._settings = settings
        self.hub: Hub

    def start(self) -> None:
        with self.loop.running():
            self.hub = Hub(self._settings)
            self.hub.start()
        self.loop.turn()

    def kill(self) -> None:
        """SIGKILL, or the end of a process that has stopped."""
        self.alive = False
        self.loop.end()
        for connection in list(self.redis.connections):
            if connection._process is self:
                connection.detach()
        for writer in self.writers:
            writer.cut()

    def stop(self) -> None:
        """SIGTERM."""
        self.stopping = True
        self.loop.call_soon(self._stop)

    def _stop(self) -> None:
        task = self.loop.create_task(self.hub.stop())
        task.add_done_callback(lambda _: self.kill())

    def hang(self, seconds: float) -> None:
        """SIGSTOP, then SIGCONT."""
        if not self.loop.suspended:
            self.loop.suspended = True
            self.world.after(seconds, self.loop.resume)

    def unplug(self, seconds: float) -> None:
        """Nothing passes between this process and Redis for a while; then what was sent arrives."""
        self.unplugged_until = self.world.now + seconds

    @property
    def channel(self) -> channel.Channel:
        """The one that all of this is about."""
        return self.hub._channels[self.hub.settings.channel]

    # -- requests to Redis

    async def request(self, effect: Callable[[], Any]) -> Any:
        """Has Redis execute it at some moment from now on, even if nobody waits for it any more."""
        answer = self.loop.create_future()
        self._pass(self._execute, effect, answer)
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                return await answer
        except TimeoutError:
            raise RedisUnavailable("no answer", refused=False) from None

    def _pass(self, callback: Callable[..., object], *args: object) -> None:
        pause = max(self.unplugged_until - self.world.now, 0.0)
        self.world.after(pause + self.world.delay(), callback, *args)

    def _execute(self, effect: Callable[[], Any], answer: "asyncio.Future[Any]") -> None:
        if self.unplugged_until > self.world.now:
            self._pass(self._execute, effect, answer)
            return
        if not self.alive and self.world.random.random() < 0.5:
            return  # it died before this had left
        lost = self.flaky and self.world.random.random() < self.flaky
        if self.redis.down or (lost and self.world.random.random() < 0.5):
            result: object = RedisUnavailable("no connection", refused=False)
        else:
            try:
                result = effect()
            except RedisUnavailable as error:
                result = error
            if lost:
                result = RedisUnavailable("the connection broke", refused=False)
        self._pass(self.loop.call_soon, self._answer, answer, result)

    def _answer(self, answer: "asyncio.Future[Any]", result: object) -> None:
        if answer.done():
            return
        if isinstance(result, Exception):
            answer.set_exception(result)
        else:
            answer.set_result(result)


# -- clients


class Writer:
    """One response: what the hub sends waits here until the client reads it."""

    on_ready: Callable[[], None]

    def __init__(self, client: "Client", process: Process, room: int) -> None:
        self._client = client
        self.process = process
        self._room = room
        self._waiting = bytearray()
        self._taken = 0
        self._full = False
        self._ended = False
        self._reading = False
        process.writers.append(self)

    def send(self, chunk: Chunk) -> bool:
        if self._ended:
            return False
        self._waiting += chunk.body
        self._full = len(self._waiting) > self._room
        self._expect()
        return not self._full

    def progress(self) -> object:
        return self._taken

    def finish(self, chunk: Chunk) -> None:
        if not self._ended:
            self._waiting += chunk.body
            self._ended = True
            self._expect()

    def abort(self) -> None:
        self.cut()

    def cut(self) -> None:
        """The connection breaks; a part of what is on its way still arrives."""
        if not self._ended:
            self._ended = True
            kept = self._client.world.random.randint(0, len(self._waiting))
            del self._waiting[kept:]
            self._expect()

    def _expect(self) -> None:
        client = self._client
        if not self._reading:
            self._reading = True
            pause = max(client.stalled_until - client.world.now, 0.0)
            client.world.after(pause + client.world.delay(), self._read)

    def _read(self) -> None:
        self._reading = False
        client = self._client
        if client.writer is not self:
            return
        if client.stalled_until > client.world.now:
            self._expect()
            return
        number = len(self._waiting)
        if client.world.random.random() < 0.3:
            number = client.world.random.randint(0, number)
        data = bytes(self._waiting[:number])
        del self._waiting[:number]
        self._taken += number
        client.receive(data)
        if self._waiting:
            self._expect()
        elif self._ended:
            client.lost()
        if self._full and len(self._waiting) <= self._room:
            self._full = False
            self.process.loop.call_soon(self._ready)

    def _ready(self) -> None:
        if not self._ended and self._client.writer is self:
            self.on_ready()


_FRAME = re.compile(
    rb":|(?::\n)?(?:retry: \d+|(?:id: (.*))?\n?(?:event: (.*)\n)?(?:data: (.*))?)\n?"
)


class Client:
    """An EventSource that comes back wherever it can; and the checker of what it gets (I4)."""

    def __init__(self, world: World, order: Order, name: int, room: int) -> None:
        self.world = world
        self.order = order
        self.name = name
        self.last_id: bytes | None = None
        self.place: int | None = None
        """How many messages were published up to where this client is; None: nobody knows yet."""
        self.announced = False
        """The id it came with is none; the first thing it gets must be a gap."""
        self.writer: Writer | None = None
        self.stalled_until = 0.0
        self.gaps: list[dict[str, Any]] = []
        self.messages = 0
        self.wanted = True
        self._room = room
        self._first: Start = Live()
        self._buffer = b""
        self._leave: Callable[[], None] = lambda: None

    # -- connections

    def connect(self, process: Process, start: Start) -> None:
        if self.last_id is None:
            self._first = start
        self.writer = writer = Writer(self, process, self._room)
        process.loop.call_soon(self._join, writer, start)

    def start(self) -> Start:
        """Where it left off."""
        if self.last_id is None:
            return self._first
        return After(Position.parse(self.last_id.decode()))

    def _join(self, writer: Writer, start: Start) -> None:
        process = writer.process
        if writer is not self.writer:
            return  # it has gone again
        if process.hub.full:
            writer.finish(Chunk(process.hub.overload_retry()))
            return
        found = process.hub.catalogue.find(process.hub.settings.channel)
        assert found is not None
        stream = process.hub.join(writer, [found], {found.name: start})
        self._leave = lambda: process.hub.leave(stream)

    def lost(self) -> None:
        """The connection ends, by whoever's doing; what was not completely received comes again."""
        writer, self.writer = self.writer, None
        leave, self._leave = self._leave, lambda: None
        self._buffer = b""
        if writer:
            writer.process.writers.remove(writer)
            self.world.after(self.world.delay(), writer.process.loop.call_soon, leave)

    # -- what it gets

    def receive(self, data: bytes) -> None:
        *complete, self._buffer = (self._buffer + data).split(b"\n\n")
        for frame in complete:
            self._see(frame)

    def _see(self, frame: bytes) -> None:
        match = _FRAME.fullmatch(frame)
        if match is None:
            raise Violation(f"{self} cannot read {frame!r}")
        identity, name, data = match.groups()
        position = Position.parse(identity.decode()) if identity else None
        if name == b"hub.gap":
            self._see_gap(position, json.loads(data))
        elif data is not None:
            self._see_message(position, data)
        elif position is not None:
            self._see_position(position)
        if identity:
            self.last_id = identity

    def _see_message(self, position: Position | None, data: bytes) -> None:
        if position is None:
            raise Violation(f"{self}: a message without an id: {data!r}")
        place = self.order.place(position)
        if position.offset < 1 or self.order.payloads[place - 1] != data:
            raise Violation(f"I1: {self} got {data!r} as {position}")
        if self.announced:
            raise Violation(f"{self} has an unknown id and was not told before {position}")
        if self.place is not None and place != self.place + 1:
            what = "doubled or out of order" if place <= self.place else "after a silent hole"
            raise Violation(f"I4: {self} got {position} (message {place}) {what}")
        self.place = place
        self.messages += 1

    def _see_position(self, position: Position) -> None:
        place = self.order.place(position)
        if self.announced:
            raise Violation(f"{self} has an unknown id and was not told before {position}")
        if self.place is not None and place != self.place:
            raise Violation(f"I4: {self} is told to be at {position} (message {place})")
        self.place = place

    def _see_gap(self, position: Position | None, gap: dict[str, Any]) -> None:
        self.gaps.append(gap)
        if position is None and gap["to"] is None and self.place is None:
            self.announced = False
            return  # its process was not connected yet
        if position is None or gap["to"] != str(position):
            raise Violation(f"{self}: a gap without its end: {position}, {gap}")
        place, missed = self.order.place(position), gap["missed"]
        if self.place is not None:
            if place < self.place:
                raise Violation(f"I4: {self} is sent back to {position} (message {place}): {gap}")
            if missed is not None and missed != place - self.place:
                raise Violation(f"I4: {self} missed {place - self.place}, not as told: {gap}")
        if missed == 0 or (missed is not None and self.announced):
            raise Violation(f"{self}: a count of nothing, or that nobody can know: {gap}")
        self.place = place
        self.announced = False

    def __repr__(self) -> str:
        return f"client {self.name} at {self.last_id!r} (message {self.place})"


# -- all together


class _BugReports(logging.Handler):
    """The hub logs what it calls a bug, and goes on; here it ends the schedule."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            raise Violation(record.getMessage()) from record.exc_info[1]


class Simulation:
    """A world with one Redis, processes and clients. A context manager: it replaces what talks to Redis."""

    def __init__(self, seed: int, settings: dict[str, Any]) -> None:
        self.world = World(seed)
        self.settings = settings
        keep_ms = round(settings["history_seconds"] * 1000)
        self.redis = SimulatedRedis(self.world, settings["history_size"], keep_ms)
        self.order = self.redis.order
        self.processes: list[Process] = []
        self.clients: list[Client] = []
        self._named: dict[str, Process] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        clock = SimpleNamespace(time_ns=lambda: asyncio.get_running_loop().wall_ns())
        enter = self._stack.enter_context
        enter(mock.patch.object(broker, "RedisAddress", self._address))
        enter(mock.patch.object(broker, "Commands", SimulatedCommands))
        enter(mock.patch.object(hub_module, "Kicks", NoKicks))
        enter(mock.patch.object(hub_module, "Presence", NoPresence))
        enter(mock.patch.object(channel, "RedisStream", SimulatedLog))
        enter(mock.patch.object(channel, "Epochs", SimulatedEpochs))
        enter(mock.patch.object(channel, "time", clock))
        enter(mock.patch.object(intake, "time", clock))
        logger, handler = logging.getLogger("relay"), _BugReports()
        before = logger.level, logger.propagate
        logger.addHandler(handler)
        logger.setLevel(logging.ERROR)
        logger.propagate = False
        self._stack.callback(logger.removeHandler, handler)
        self._stack.callback(setattr, logger, "propagate", before[1])
        self._stack.callback(logger.setLevel, before[0])
        state = random.getstate()
        random.seed(self.world.random.random())
        self._stack.callback(random.setstate, state)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.processes:
            process.alive = False
            process.loop.end()
        self._stack.close()

    def _address(self, url: str) -> SimulatedAddress:
        return SimulatedAddress(self._named[url])

    def start_process(self) -> Process:
        name = len(self._named)
        settings = changed(conf.load(), redis_url=str(name), **self.settings)
        process = self._named[str(name)] = Process(self.world, self.redis, settings, name)
        self.processes.append(process)
        process.start()
        return process

    @property
    def alive(self) -> list[Process]:
        return [process for process in self.processes if process.alive and not process.stopping]

    def add_client(self, room: int) -> Client:
        client = Client(self.world, self.order, len(self.clients), room)
        self.clients.append(client)
        return client
