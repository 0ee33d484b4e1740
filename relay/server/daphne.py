"""Daphne, with the holes closed that long streams fall into.

relay/server/factory.py closes further ones, for Daphne's own command as well.

* The accept queue holds 4,096 connections instead of 50, so that a thousand browsers may come at once.
* One turn of the event loop accepts a few of them, so that messages and Redis do not wait for all.
* Accepted sockets notice a dead peer (keep-alive, TCP_USER_TIMEOUT; accepted sockets inherit both).
* What is being answered is finished before the process ends.
* Ten thousand streams that nothing happens on are not all looked at every second.
* A port that cannot be had is one clear line.
"""

import asyncio
import logging
import resource
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from daphne.server import Server
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.error import ReactorNotRunning

from relay.http.application import stream_paths
from relay.server import bounds, internals
from relay.server.door import Door

logger = logging.getLogger("relay")

DEAD_PEER_MS = 60_000
CHECKED_PER_SECOND = 1000
"""How many open requests are looked at, on average, for clients that left more than ten seconds ago."""

END_SECONDS = 2.0
"""What requests that are being answered get when the server stops."""


class HubServer(Server):
    """Serves until SIGTERM or SIGINT; `failure` tells afterwards why it could not.

    `where` is an address to listen at, or a socket that listens already and is the server's from now on.
    """

    def __init__(
        self,
        application: Any,
        where: tuple[str, int] | socket.socket,
        on_listening: Callable[[str, int], None],
    ) -> None:
        own = isinstance(where, socket.socket)
        super().__init__(
            application,
            endpoints=["adopted"] if own else [_endpoint(*where)],  # Daphne will not have none
            server_name="",
            verbosity=0,
            ready_callable=self._adopt if own else None,
        )
        if own:
            self.endpoints: list[str] = []
        self._where = where
        self._port: Any = None
        self._on_listening = on_listening
        self._seconds = 0  # since the applications were checked
        self.failure: Exception | None = None
        self._door: Door | None = None

    def run(self) -> None:
        _raise_file_limit()
        super().run()

    def stop_listening(self, *, answer_waiting: bool) -> None:
        """Accepts no more. What was accepted is served on, and what waits for it as well if wanted."""
        if answer_waiting:
            internals.accept_waiting(self._port, bounds.ACCEPTED_AT_THE_END)
        self._port.stopListening()

    def stop(self) -> None:
        with suppress(ReactorNotRunning):  # SIGTERM may have come before
            super().stop()

    def _adopt(self) -> None:
        assert isinstance(self._where, socket.socket)
        with self._where as ours:  # Twisted takes a duplicate
            self.listen_success(
                internals.reactor.adoptStreamPort(ours.fileno(), ours.family, self.http_factory)
            )

    def listen_success(self, port: Any) -> None:
        super().listen_success(port)
        self._port = port
        internals.accept_at_most(port, bounds.ACCEPTED_AT_ONCE)
        port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            port.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_MS)
        if port.factory.hands_over:
            self._door = Door(port, self.application, stream_paths())
        address = port.getHost()
        self._on_listening(address.host, address.port)

    def listen_error(self, failure: Any) -> None:
        self.failure = getattr(failure.value, "socketError", failure.value)
        self.stop()

    def timeout_checker(self) -> None:
        """Does nothing every two seconds for each stream: no request has a time limit here."""

    def application_checker(self) -> None:
        self._seconds += 1
        if len(self.connections) > self._seconds * CHECKED_PER_SECOND:
            reactor.callLater(1, self.application_checker)  # type: ignore[arg-type]
            return
        self._seconds = 0
        try:
            super().application_checker()
        except Exception:  # of a WebSocket of the site; else nothing would be put away any more
            logger.exception("A finished connection could not be put away.")
            reactor.callLater(1, self.application_checker)  # type: ignore[arg-type]

    def protocol_disconnected(self, protocol: Any) -> None:
        if protocol in self.connections:  # not one that was put away at the end
            super().protocol_disconnected(protocol)

    def kill_all_applications(self) -> "Deferred[Any]":
        """Lets applications end by themselves for a moment before they are cancelled."""
        return Deferred.fromFuture(asyncio.ensure_future(self._end_applications()))

    def _is_busy(self) -> bool:
        return bool(self.connections) or (self._door is not None and self._door.busy)

    async def _end_applications(self) -> None:
        deadline = time.monotonic() + END_SECONDS
        while self._is_busy() and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        for protocol, record in list(self.connections.items()):
            if "application_instance" not in record:  # Daphne raises KeyError for these
                del self.connections[protocol]
        killed: Deferred[Any] = super().kill_all_applications()
        await killed.asFuture(asyncio.get_running_loop())


def _endpoint(host: str, port: int) -> str:
    kind = "tcp6" if ":" in host else "tcp"
    return f"{kind}:port={port}:interface={quoteStringArgument(host)}:backlog={bounds.BACKLOG}"


def _raise_file_limit() -> None:
    """A stream is a file descriptor; the usual soft limit of 1,024 of them is for other programs."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
