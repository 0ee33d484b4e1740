"""The door of `relay serve`: lets a plain GET of a stream in before Daphne makes objects for it.

Twisted accepts, as for Daphne. What has come with the connection is read once. If that is a whole plain
GET of the stream (plain_get.py), the application runs as a task of its own and gets the socket. Everything
else goes to Daphne with the bytes that were read: other requests, half heads, silence.
"""

import asyncio
import socket
from typing import Any

from relay import tasks
from relay.http import early_refusal
from relay.http.answer import Answer
from relay.server import internals
from relay.server.plain_get import PlainGet, read_plain_get
from relay.sockets.detached import EXTENSION, Detached
from relay.types import Application, Message, Send

READ_BYTES = 4096
"""A longer head is Daphne's."""


class Door:
    """What Twisted takes for the factory and the protocol of a port whose factory was `factory`."""

    def __init__(self, port: Any, application: Application, paths: frozenset[bytes]) -> None:
        self.wrappedFactory = port.factory  # as Twisted calls it
        self._application = application
        self._paths = paths
        self._tasks: set[asyncio.Task[None]] = set()
        port.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited
        if hasattr(socket, "TCP_DEFER_ACCEPT"):  # then the request is there when Twisted accepts
            port.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
        internals.put_before(port, self)

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return bool(self._tasks)

    # -- what Twisted calls for each connection

    def doStart(self) -> None:
        self.wrappedFactory.doStart()

    def doStop(self) -> None:
        self.wrappedFactory.doStop()

    def buildProtocol(self, address: Any) -> "Door":
        return self

    def makeConnection(self, arrival: internals.Arrival) -> None:
        arrival.socket.setblocking(False)
        try:
            data = arrival.socket.recv(READ_BYTES)
        except OSError:
            data = b""  # nothing yet, or an end that Daphne will see
        request = read_plain_get(data, self._paths)
        if request is None:
            internals.connect(self.wrappedFactory, arrival, data)
            return
        visit = Visit(arrival, self.wrappedFactory).run(self._application, request)
        task = asyncio.get_running_loop().create_task(visit)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        tasks.report_failure(task)


class Visit:
    """One request, until its stream has the socket or Daphne has the connection."""

    def __init__(self, arrival: internals.Arrival, factory: Any) -> None:
        self._arrival: internals.Arrival | None = arrival
        self._factory = factory
        self._read = False
        self._start: Message = {}

    async def run(self, application: Application, request: PlainGet) -> None:
        """Runs the application on the request."""
        try:
            await application(self._scope(request), self.receive, self.send)
        finally:
            if self._arrival is not None:  # neither a stream nor an answer
                self._hand_back().refuse(early_refusal.FAILED)

    def _scope(self, request: PlainGet) -> dict[str, Any]:
        assert self._arrival is not None
        client, server = self._arrival.addresses()
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "path": request.path.decode("ascii"),
            "raw_path": request.path,
            "root_path": "",
            "scheme": "http",
            "query_string": request.query,
            "headers": request.headers,
            "client": client,
            "server": server,
            "extensions": {EXTENSION: self.detach},
        }

    async def receive(self) -> Message:
        """The `receive` of ASGI: a request without a body, and then an end."""
        if self._read:
            return {"type": "http.disconnect"}
        self._read = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Message) -> None:
        """The `send` of ASGI, for a response of one piece. Twisted writes it, and keeps the connection."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        if message.get("more_body"):
            raise RuntimeError("A response in pieces needs a connection of its own (relay.detach).")
        stopping = self._factory.stopping
        last = [(b"Connection", b"close")] if stopping else []
        answer = Answer(self._start["status"], [*self._start["headers"], *last], message["body"])
        channel = self._hand_back()
        channel.transport.write(answer.encode())
        if stopping:
            channel.loseConnection()

    def detach(self, send: Send) -> Detached | None:
        """The extension `relay.detach`."""
        arrival = self._arrival
        if arrival is None or self._start or getattr(send, "__self__", None) is not self:
            return None
        self._arrival = None
        return Detached(arrival.socket, b"1.1")

    def _hand_back(self) -> Any:
        """Has Daphne serve the connection. Returns its channel."""
        arrival, self._arrival = self._arrival, None
        assert arrival is not None
        return internals.connect(self._factory, arrival)
