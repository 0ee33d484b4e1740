"""A worker's side: it takes orders from its parent, says that it lives, and drains when it is told."""

import asyncio
import socket
from contextlib import suppress

from relay import tasks
from relay.engine.hub import Hub
from relay.engine.lifespan import get_hub
from relay.server.daphne import HubServer
from relay.server.internals import reactor
from relay.types import Application
from relay.workers.words import BEAT_SECONDS, Orders, Word, line_of, word_of

READY_POLL_SECONDS = 0.05
ORDERS_SECONDS = 10.0
MAX_LINE_BYTES = 65_536


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
        """Waits until the parent says to drain, or is gone. Then drains, and stops the server."""
        reader, writer = await asyncio.open_connection(sock=self._socket)
        beats = asyncio.create_task(_say_that_it_lives(hub, writer))
        word = Word.CLOSE  # as when it is gone
        with suppress(OSError):
            if line := await reader.readline():
                word = word_of(line)
        try:
            server.stop_listening(answer_waiting=word is Word.CLOSE)
            await hub.drain()
        finally:
            await tasks.end([beats])
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


async def _say_that_it_lives(hub: Hub, writer: asyncio.StreamWriter) -> None:
    ready = False
    while True:
        if hub.live and not ready:
            ready = True
            writer.write(line_of(Word.READY))
        writer.write(line_of(Word.BEAT))  # also before, and while Redis is away
        await asyncio.sleep(BEAT_SECONDS if ready else READY_POLL_SECONDS)
