"""Every name of Twisted and Daphne that is not public, and that the server relies on.

tests/http/test_hardening_names.py fails for each one that a new version renames.
"""

import re
import select
import socket
from functools import lru_cache
from importlib.metadata import version
from typing import Any, NamedTuple

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
    "_requestProducer",
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


TESTED = {"twisted": (26, 10), "daphne": (4, 2)}
"""The newest versions with which taking a socket away was tested."""


def newer_than_tested() -> str:
    """Returns the name and version of a package that is newer than what was tested, or nothing."""
    for package, newest in TESTED.items():
        found = version(package)
        if tuple(int(part) for part in re.findall(r"\d+", found)[:2]) > newest:
            return f"{package} {found}"
    return ""


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


def has_unsent(transport: Any) -> bool:
    """Whether Twisted holds bytes for the client."""
    return bool(transport.dataBuffer or transport._tempDataLen)


def has_more(channel: Any) -> bool:
    """Whether the client has sent more than the request that is being answered."""
    return any(channel._dataBuffer)


def part(channel: Any, transport: Any) -> None:
    """Has a channel and a transport that neither reads nor writes let go of each other and the socket."""
    own = vars(transport)
    own.update(connected=0, disconnected=1, protocol=None, producer=None)
    del own["socket"], own["fileno"]
    vars(channel).update(requests=[], transport=None, _networkProducer=None, _requestProducer=None)


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


class Arrival(NamedTuple):
    """An accepted connection, as Twisted's port hands it over."""

    socket: socket.socket
    protocol: object
    address: tuple[Any, ...]
    port: Any
    number: int
    reactor: Any

    def addresses(self) -> tuple[list[Any], list[Any]]:
        """Returns the host and port of the client, and of the server."""
        here = _own_address(self.port) or self.socket.getsockname()
        return [*self.address[:2]], [*here[:2]]


@lru_cache(8)
def _own_address(port: Any) -> tuple[Any, ...] | None:
    """Returns where a port listens, or None where it does on every address."""
    here: tuple[Any, ...] = port.socket.getsockname()
    return None if here[0] in {"0.0.0.0", "::"} else here  # noqa: S104


def put_before(port: Any, door: Any) -> None:
    """Has a port hand its connections to `door.makeConnection`, as Arrivals.

    Port.transport may be replaced, as its docstring says; Port.factory is read with each connection.
    """
    vars(port).update(factory=door, transport=Arrival)


def connect(factory: Any, arrival: Arrival, data: bytes = b"") -> Any:
    """Has a protocol of the factory serve the connection, of which `data` was read. Returns it."""
    protocol = factory.buildProtocol(arrival.address)
    transport = tcp.Server(
        arrival.socket, protocol, arrival.address, arrival.port, arrival.number, arrival.reactor
    )
    protocol.makeConnection(transport)
    if data:
        protocol.dataReceived(data)
    return protocol


def accept_at_most(port: Any, number: int) -> None:
    """Bounds how many connections a port accepts in one turn of the event loop.

    Twisted begins with 100, and with each turn that leaves some waiting it accepts 20 more.
    """
    read = port.doRead

    def read_few() -> None:
        vars(port).update(numberAccepts=min(port.numberAccepts, number))
        read()

    vars(port).update(doRead=read_few)


def accept_waiting(port: Any, most: int) -> None:
    """Accepts up to about `most` connections that the kernel already has."""
    poll = select.poll()
    poll.register(port.fileno(), select.POLLIN)
    for _ in range(most // max(port.numberAccepts, 1) + 1):
        if not poll.poll(0):
            return
        port.doRead()
