"""A worker's side: it takes orders from its parent, says that it lives, and drains when it is told."""

import asyncio
import logging
import socket
from contextlib import suppress

from relay import tasks
from relay.engine.hub import Hub
from relay.engine.lifespan import get_hub
from relay.metrics.host import View
from relay.metrics.snapshot import take_details, take_snapshot
from relay.server.daphne import HubServer
from relay.server.internals import reactor
from relay.types import Application
from relay.workers.words import (
    BEAT_SECONDS,
    MAX_LINE_BYTES,
    Answer,
    Orders,
    Word,
    line_of,
    order_of,
)

logger = logging.getLogger("relay")

READY_POLL_SECONDS = 0.05
ORDERS_SECONDS = 10.0


class ParentLink:
    """The way to the parent of this process: a Unix socket. `orders` come first."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)

    def orders(self) -> Orders:
        """Waits for the first line. Raises OSError when the parent has gone."""
        self._socket.settimeout(ORDERS_SECONDS)
        with self._socket.makefile("rb", buffering=0) as file:
            line = file.readline(MAX_LINE_BYTES)
        if not line:
            raise ConnectionResetError("the parent of this worker has gone")
        return Orders.of(line)

    async def follow(self, hub: Hub, server: HubServer) -> None:
        """Waits until the parent says to drain, or is gone. Then drains, and stops the server.

        Answers until the end whatever else the parent asks.
        """
        reader, writer = await asyncio.open_connection(sock=self._socket)
        beats = asyncio.create_task(_say_that_it_lives(hub, writer))
        order = await _next_order(reader, writer, hub)
        answers = asyncio.create_task(_next_order(reader, writer, hub))
        try:
            server.stop_listening(answer_waiting=order is Word.CLOSE)
            await hub.drain()
        finally:
            await tasks.end([beats, answers])
            writer.close()
            server.stop()


def handed_over(descriptors: str) -> tuple[socket.socket, ParentLink]:
    """Returns what a parent gave this process: a listening socket, and the way to the parent."""
    listening, link = map(int, descriptors.split(","))
    return socket.socket(fileno=listening), ParentLink(link)


def serve_for(link: ParentLink, application: Application, listening: socket.socket) -> None:
    """Serves until the parent says to drain, or SIGTERM comes."""
    following: set[asyncio.Task[None]] = set()

    def follow() -> None:
        task = asyncio.create_task(link.follow(get_hub(), server))
        following.add(task)
        task.add_done_callback(tasks.report_failure)

    server = HubServer(application, listening, lambda *_: reactor.callLater(0, follow))
    server.run()


async def _next_order(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hub: Hub) -> Word:
    """Answers what the parent asks, and returns the first thing else. CLOSE stands for its end."""
    with suppress(OSError):
        while line := await reader.readline():
            order = order_of(line)
            if isinstance(order, Word):
                return order
            writer.write((await _answer(order, hub)).line())
            await writer.drain()
    return Word.CLOSE


async def _answer(view: View, hub: Hub) -> Answer:
    """Returns None for what could not be read: the worker serves on."""
    take = take_details if view is View.DETAILS else take_snapshot
    try:
        return Answer(view, await take(hub))
    except Exception:
        logger.exception("The metrics of a worker cannot be read; this is a bug.")
        return Answer(view, None)


async def _say_that_it_lives(hub: Hub, writer: asyncio.StreamWriter) -> None:
    ready = False
    while True:
        if hub.live and not ready:
            ready = True
            writer.write(line_of(Word.READY))
        writer.write(line_of(Word.BEAT))  # also before, and while Redis is away
        await asyncio.sleep(BEAT_SECONDS if ready else READY_POLL_SECONDS)
