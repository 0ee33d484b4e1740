"""Ties the hub of this process to the life of its server.

Daphne has no ASGI lifespan: there the hub starts with the reactor and stops with it. Servers that have
one (uvicorn, hypercorn, granian) start and stop the hub by it. Where neither is (a router in front that
does not pass the lifespan on), the first request starts the hub, and the signal that ends the server
stops it.
"""

import asyncio
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from types import FrameType
from typing import Any

from relay import conf
from relay.broker.broker import Broker
from relay.clock import LoopClock
from relay.engine import garbage
from relay.engine.hub import Hub
from relay.types import Application, Message, Receive, Send

_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}
"""One, in a process that serves; tests run several event loops, one after the other."""

_stopping: set["asyncio.Task[None]"] = set()

Companion = Callable[[Hub], Coroutine[object, object, None]]

_companions: dict[str, Companion] = {}
"""What runs beside the hub of a process that serves, by name."""

_serves_streams = False
"""Whether `relay_application` was made in this process."""


def get_hub() -> Hub:
    """The hub of this process, started if it is not. Only inside the event loop that serves."""
    hub = _hubs.get(asyncio.get_running_loop())
    if hub is None:
        hub = _start_serving()
        if not _stop_with_reactor(hub):
            _at_signal(_stop_soon)
    return hub


def start_hub() -> Hub:
    """Starts a hub in the running event loop."""
    settings = conf.load()
    hub = Hub(settings, Broker(settings.redis_url), LoopClock())
    _hubs[asyncio.get_running_loop()] = hub
    hub.poller.open()
    hub.start()
    return hub


def accompany(name: str, companion: Companion) -> None:
    """Runs `companion` beside every hub that serves from now on, until that hub stops."""
    _companions[name] = companion


def _start_serving() -> Hub:
    hub = start_hub()
    for name, companion in _companions.items():
        hub.accompany(name, partial(companion, hub))
    garbage.calm()
    return hub


async def stop_hub() -> None:
    """Stops the hub of the running event loop, which turns away whoever still comes."""
    hub = _hubs.get(asyncio.get_running_loop())
    if hub is not None:
        await hub.stop()


def running_hub() -> Hub | None:
    """The hub of the running event loop, if it has one. Starts none."""
    try:
        return _hubs.get(asyncio.get_running_loop())
    except RuntimeError:
        return None


@asynccontextmanager
async def passing_hub() -> AsyncIterator[Hub]:
    """A hub for as long as the outermost block lasts, and no trace of it afterwards."""
    hub = running_hub()
    if hub is not None:
        yield hub
        return
    hub = start_hub()
    try:
        yield hub
    finally:
        await hub.stop()
        del _hubs[asyncio.get_running_loop()]


def hub_to_serve() -> Hub | None:
    """The hub of this process, started if it is not; None in a process that serves no streams."""
    return get_hub() if _serves_streams else running_hub()


def start_with_reactor() -> None:
    """Under Daphne: start as soon as the reactor runs, not with the first request.

    From now on this process serves streams, whichever request comes first.
    """
    global _serves_streams
    _serves_streams = True
    if "daphne.server" in sys.modules:
        from twisted.internet import reactor

        reactor.callLater(0, get_hub)  # type: ignore[arg-type]


async def lifespan(
    site: Application | None, scope: dict[str, Any], receive: Receive, send: Send
) -> None:
    """The ASGI lifespan protocol: the hub's, and then that of the site where it has one."""
    protocol = _Lifespan(receive, send)
    if site is not None:
        try:
            await site(scope, protocol.receive, protocol.send)
        except Exception:
            if protocol.answered:
                raise  # else the site has no lifespan, as the specification lets it say
        if protocol.over:
            return
    await protocol.run()


class _Lifespan:
    """Starts the hub before the site hears of the startup, and stops it before the shutdown."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._pending: Message | None = None
        self.answered = False
        """Whether the startup was answered."""
        self.over = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "lifespan.startup":
            self._pending = message
            _start_serving()
            _at_signal(Hub.end_streams)
        else:
            await stop_hub()
        return message

    async def send(self, message: Message) -> None:
        self.answered, self._pending = True, None
        self.over = not message["type"].endswith("startup.complete")
        await self._send(message)

    async def run(self) -> None:
        """The protocol without a site, from wherever it stands."""
        while not self.over:
            try:
                message = self._pending or await self.receive()
            except ValueError as error:
                await self.send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await self.send({"type": f"{message['type']}.complete"})


def _at_signal(stop: Callable[[Hub], object]) -> None:
    """Calls `stop` when the process is asked to end.

    Servers wait for open responses before they announce the shutdown. A stream never ends by itself,
    so the signal itself must end the streams.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    hub = _hubs[loop]
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)

        def handle(number: int, frame: FrameType | None, before: Any = before) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(stop, hub)
            if callable(before):
                before(number, frame)
            elif before is signal.SIG_DFL:
                signal.signal(number, before)
                signal.raise_signal(number)

        signal.signal(number, handle)


def _stop_soon(hub: Hub) -> None:
    """There will be no word of the shutdown: the histories are written while the server ends."""
    hub.end_streams()
    task = asyncio.create_task(stop_hub())
    _stopping.add(task)
    task.add_done_callback(_stopping.discard)


def _stop_with_reactor(hub: Hub) -> bool:
    """Whether there is a reactor that runs, with which the hub now stops."""
    reactor = sys.modules.get("twisted.internet.reactor")
    if reactor is None or not reactor.running:
        return False
    from twisted.internet.defer import Deferred

    def stop() -> Deferred[None]:
        hub.end_streams()  # at once: Daphne cancels the applications in this same turn
        return Deferred.fromFuture(asyncio.ensure_future(stop_hub()))

    reactor.addSystemEventTrigger("before", "shutdown", stop)
    return True
