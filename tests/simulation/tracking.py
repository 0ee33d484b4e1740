"""A tracking connection: answers and notices of changes, in the order in which Redis executed things."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from relay.broker.names import Names
from relay.broker.tracking import Observer
from tests.simulation.network import CONFIRMED, END, Connection

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.redis import SimulatedRedis

Handler = Callable[[Any], None]


class Answer(NamedTuple):
    handler: Handler
    value: Any


class Notice(NamedTuple):
    key: str


class TrackingConnection(Connection):
    """What relay.broker.tracking.Tracking is to the tracker."""

    def __init__(self, process: "Process", redis: "SimulatedRedis", observer: Observer) -> None:
        super().__init__(process, redis, lambda messages: None)
        self._observer = observer
        self.registered: set[str] = set()

    async def subscribe(self, channel: str) -> None:  # type: ignore[override]
        await super().subscribe(Names([channel]))

    def send(self, words: Sequence[Any], handler: Handler) -> None:
        command, key, first, _, _, number = words
        assert command == "XRANGE"
        self._in_order(self._run, key, handler, lambda: self._key(key).range(first, number))

    def send_script(self, name: str, key: str, arguments: Sequence[Any], handler: Handler) -> None:
        assert name == "stream_read"
        self._in_order(self._run, key, handler, lambda: self._key(key).read(*arguments))

    # -- at Redis

    def change(self, key: str) -> None:
        """Sends one notice, if the key was read since the last one."""
        if key in self.registered:
            self.registered.remove(key)
            self.put(Notice(key))  # type: ignore[arg-type]

    def _key(self, key: str) -> Any:
        return self._redis.streams[key]

    def _run(self, key: str, handler: Handler, execute: Callable[[], Any]) -> None:
        if self in self._redis.connections:
            self.registered.add(key)
            self.put(Answer(handler, execute()))  # type: ignore[arg-type]

    # -- at the hub

    def _read(self, items: Sequence[Any]) -> None:
        if self._aborted:
            return
        self.heard = True
        for item in items:
            if isinstance(item, Answer):
                item.handler(item.value)
            elif isinstance(item, Notice):
                self._observer.changed([item.key.encode()])
            elif isinstance(item, list):
                self._observer.notified(item[1])
            elif item == CONFIRMED:
                confirmed = self._subscribing.popleft()
                if not confirmed.done():
                    confirmed.set_result(None)
            elif item == END:
                self._end()
