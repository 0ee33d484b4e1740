"""What Redis is to one hub: each command and script is executed at some later moment."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from relay.broker.errors import RedisUnavailable
from relay.broker.gate import Gate
from relay.broker.tracking import Observer
from relay.feed.entries import Entry, Run
from relay.wire.position import Position
from tests.simulation.network import Connection
from tests.simulation.tracking import TrackingConnection

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.redis import SimulatedChannel, SimulatedRedis


class SimulatedAddress:
    """What relay.broker.address.RedisAddress is to the hub."""

    def __init__(self, process: "Process", redis: "SimulatedRedis") -> None:
        self._process = process
        self._redis = redis

    async def probe(self, channel: str) -> None:
        redis = self._redis
        try:
            await self._process.request(lambda: redis.publish(channel, b""), redis)
        except RedisUnavailable as error:
            raise ConnectionError(str(error)) from None


class SimulatedCommands:
    """What relay.broker.commands.ServerCommands is to the hub: the same words, the same answers."""

    def __init__(self, process: "Process", redis: "SimulatedRedis") -> None:
        self._process = process
        self._redis = redis

    async def renew(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    def run(self, *words: Any) -> Awaitable[Any]:
        return self._process.request(lambda: self._execute(words), self._redis)

    def script(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Awaitable[Any]:
        if name.startswith("stream_"):
            run = getattr(self._redis.streams[keys[0]], name.removeprefix("stream_"))
            return self._process.request(lambda: run(*arguments), self._redis)
        execute = getattr(self, f"_{name}")
        return self._process.request(lambda: execute(self._channel(keys), *arguments), self._redis)

    def _channel(self, keys: Sequence[str]) -> "SimulatedChannel | None":
        """That of a history; None for keys that are not about one channel."""
        channels = self._redis.channels.values()
        return next((channel for channel in channels if channel.keys.history in keys), None)

    def _execute(self, words: Sequence[Any]) -> Any:
        channel = self._channel(words[1:2])
        if channel is None:
            return 0
        if words[0] == "XLEN":
            return len(channel.history.entries)
        assert words[0] == "XREVRANGE"
        return [_raw(entry, channel) for entry in channel.history.entries[-1:]]

    # -- the scripts

    def _epoch_open(
        self, channel: "SimulatedChannel", marker: str, known: int, publish: str, elected: int
    ) -> list[Any]:
        heard, first = channel.open_epoch(marker, known)
        return [b"%d" % channel.order.epoch, heard, b"", int(first)]

    def _history_append(self, channel: "SimulatedChannel", *arguments: Any) -> list[Any]:
        epoch, offset, previous, force, size, keep_ms, *pairs = arguments
        entries = list(zip(pairs[::2], pairs[1::2], strict=True))
        run = Run(Position(epoch, offset), Position.parse(previous), entries)
        appended = channel.append(run, force=bool(force), size=size, keep_ms=keep_ms)
        return [appended.number, _text(appended.newest)]

    def _history_read(
        self, channel: "SimulatedChannel", first: str, number: int, size_bytes: int
    ) -> list[Any]:
        position = Position.parse(first)
        assert position is not None
        return [
            _raw(entry, channel) for entry in channel.history.read(position, number, size_bytes)
        ]

    def _history_trim(self, channel: "SimulatedChannel", keep_ms: int) -> int:
        channel.trim(keep_ms)
        return 0

    def _history_rewind(self, channel: "SimulatedChannel", number: int) -> list[Any]:
        first, found = channel.history.rewind(number)
        return [_text(first), found]

    def _history_since(self, channel: "SimulatedChannel", time_ms: int) -> list[Any]:
        first, reaches = channel.history.since(time_ms)
        return [_text(first), b"1" if reaches else b"0"]

    def _process_sign(self, channel: None, *arguments: Any) -> None:
        """Nobody asks which processes live."""

    def _presence_write(self, channel: None, *arguments: Any) -> int:
        """Nobody asks who is there."""
        return 0


class SimulatedMaster:
    """What relay.broker.master.Master is to the hub."""

    node = ""
    elected = False

    def __init__(self, process: "Process", redis: "SimulatedRedis") -> None:
        self._process = process
        self._redis = redis
        self.name = "simulated"
        self.address = SimulatedAddress(process, redis)
        self.commands = SimulatedCommands(process, redis)
        self.gate = Gate()  # opened and closed, but nothing asks it

    async def aclose(self) -> None:
        await self.commands.aclose()

    async def track(self, observer: Observer) -> TrackingConnection:
        return TrackingConnection(self._process, self._redis, observer)

    async def connect(self, receive: Callable[[Any], None]) -> Connection:
        return Connection(self._process, self._redis, receive)


class SimulatedBroker:
    """What relay.broker.broker.Broker is to the hub, and its topology."""

    name = "simulated"
    fixed = True
    settled = True

    def __init__(self, process: "Process") -> None:
        self.topology = self
        self._master = SimulatedMaster(process, process.redis)
        self.commands = self._master.commands

    def master(self, key: str) -> SimulatedMaster:
        return self._master

    async def look(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


def _text(position: Position | None) -> bytes:
    return str(position).encode() if position else b""


def _raw(entry: Entry, channel: "SimulatedChannel") -> list[Any]:
    """An entry as XRANGE returns it."""
    fields = [b"t", b"%d" % entry.time_ms]
    if entry.event is not None:
        fields += [b"e", entry.event]
    if entry.previous is not None:
        fields += [b"p", _text(entry.previous)]
    if entry.position in channel.history.breaks:
        fields += [b"b", b"1"]
    return [_text(entry.position), fields]
