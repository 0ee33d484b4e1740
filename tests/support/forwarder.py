"""A port that leads to one server or another, as a failover does; connections stay where they were."""

import contextlib
import socket
import struct
import threading
from typing import Self


class Forwarder:
    """Use as a context manager; `target` is the port where new connections go."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.accepted = 0
        """The number of connections that came."""
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *exception: object) -> None:
        for each in [self._server, *self._sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for each in [self._server, *self._sockets]:
            each.close()

    def reset(self) -> None:
        """Resets every connection, as a firewall does with one that was idle."""
        linger = struct.pack("ii", 1, 0)
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                each.shutdown(socket.SHUT_RD)  # ends the pump that reads it
            each.close()

    def _start(self, work: object, *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self.accepted += 1
                self._sockets.append(client)
                if self._answered(client):
                    continue
                try:
                    upstream = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    client.shutdown(socket.SHUT_RDWR)
                    continue
                self._sockets.append(upstream)
                self._start(self._pump, client, upstream)
                self._start(self._pump, upstream, client)

    def _answered(self, client: socket.socket) -> bool:
        """Whether the connection was answered here, and goes nowhere."""
        return False

    def _pass(self, source: socket.socket, sink: socket.socket, data: bytes) -> None:
        sink.sendall(data)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._pass(source, sink, data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
