"""Ties the hub of this process to the life of its server.

Daphne has no ASGI lifespan, so there the hub starts with the reactor and stops with it; servers that
have one (uvicorn, hypercorn) start and stop it by that; and whatever comes first starts it.
"""

import asyncio
import signal
import sys
from types import FrameType
from typing import Any

from relay import conf
from relay.broker.broker import Broker
from relay.clock import LoopClock
from relay.engine.hub import Hub
from relay.types import Receive, Send

_hub: Hub | None = None


def get_hub() -> Hub:
    """The hub of this process, started if it is not. Only inside the event loop that serves."""
    global _hub
    if _hub is None:
        settings = conf.load()
        _hub = Hub(settings, Broker(settings.redis_url), LoopClock())
        _hub.start()
        _stop_with_reactor(_hub)
    return _hub


def start_with_reactor() -> None:
    """Under Daphne: start as soon as the reactor runs, not with the first request."""
    if "daphne.server" in sys.modules:
        from twisted.internet import reactor

        reactor.callLater(0, get_hub)  # type: ignore[arg-type]


async def lifespan(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """The ASGI lifespan protocol, for servers that speak it."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                _end_streams_on_signal(get_hub())
            except ValueError as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await get_hub().stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


def _end_streams_on_signal(hub: Hub) -> None:
    """Servers wait for open responses before they announce the shutdown; a stream never ends by
    itself, so the signal itself is what ends the streams."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)

        def handle(number: int, frame: FrameType | None, before: Any = before) -> None:
            loop.call_soon_threadsafe(hub.end_streams)
            if callable(before):
                before(number, frame)

        signal.signal(number, handle)


def _stop_with_reactor(hub: Hub) -> None:
    reactor = sys.modules.get("twisted.internet.reactor")
    if reactor is None or not reactor.running:
        return
    from twisted.internet.defer import Deferred

    def stop() -> Deferred[None]:
        hub.end_streams()  # at once: Daphne cancels the applications in this same turn
        return Deferred.fromFuture(asyncio.ensure_future(hub.stop()))

    reactor.addSystemEventTrigger("before", "shutdown", stop)
