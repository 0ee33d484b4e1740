"""Every name of Twisted and Daphne that is not public, and that the server relies on.

tests/http/test_hardening_names.py fails for each one that a new version renames.
"""

import select
from typing import Any

import daphne.server
import twisted.internet.reactor
from twisted.internet import tcp
from twisted.web import http

HTTPChannel: Any = http.HTTPChannel
Request: Any = http.Request
reactor: Any = twisted.internet.reactor
"""Twisted's types for these are missing or not true."""

CHANNEL = (
    "_dataBuffer",
    "_handlingRequest",
    "_networkProducer",
    "_receivedHeaderSize",
    "_respondToBadRequestAndDisconnect",
    "_transferDecoder",
    "_version",
    "_waitingForTransport",
)
"""Of twisted.web.http.HTTPChannel."""

REQUEST = ("_disconnected", "_parsePOSTFormSubmission")
"""Of twisted.web.http.Request."""

DAPHNE_REQUEST = ("_response_started", "application_queue", "clean_headers", "root_path")
"""Of daphne.http_protocol.WebRequest."""

DAPHNE_SERVER = ("application", "connections", "ws_factory", "application_instance", "root_path")
"""Of daphne.server.Server, with the keys of its records."""

TRANSPORT = ("dataBuffer", "offset", "_tempDataLen", "bufferSize")
"""Of Twisted's connections."""


def replace_factory(factory: Any) -> None:
    """Has each Daphne server of this process build its connections with `factory(server)`.

    Daphne has no parameter for it, and its command makes the server itself.
    """
    vars(daphne.server)["HTTPFactory"] = factory


def connection_of(transport: Any) -> Any:
    """Returns the TCP connection below TLS."""
    while hasattr(transport, "wrappedProtocol"):
        transport = transport.transport
    return transport


def read_at_most(transport: Any, number: int) -> None:
    """Bounds one read. Twisted pauses writers at the same number of buffered bytes."""
    connection: Any = connection_of(transport)
    connection.bufferSize = number


def unsent(transport: Any) -> object:
    """Returns a value that changes whenever the client has taken something."""
    connection = connection_of(transport)
    return connection.offset, len(connection.dataBuffer)


def listening_ports(factory: Any) -> list[Any]:
    """Returns the ports that accept connections for `factory`, TLS or not."""
    return [
        port
        for port in reactor.getReaders()
        if isinstance(port, tcp.Port)
        and factory in (port.factory, getattr(port.factory, "wrappedFactory", None))
    ]


def accept_waiting(port: Any, most: int) -> None:
    """Accepts up to about `most` connections that the kernel already has."""
    poll = select.poll()
    poll.register(port.fileno(), select.POLLIN)
    for _ in range(most // max(port.numberAccepts, 1) + 1):
        if not poll.poll(0):
            return
        port.doRead()
