"""What a server hands over where a stream gets the connection for itself."""

import socket
from typing import NamedTuple


class Detached(NamedTuple):
    """A connection that its server has forgotten. Nothing of the response has been sent.

    A server offers it as the ASGI extension `EXTENSION` of the scope: a function that gets the `send` of
    the application. It returns a Detached, or None where the connection cannot be had: over TLS, with
    bytes that wait in a buffer, or when `send` is not the server's own, because some middleware wants to
    see the response. The application returns afterwards without a call of `send`.
    """

    socket: socket.socket
    """A non-blocking TCP socket."""
    http_version: bytes
    """b"1.0" or b"1.1"."""


EXTENSION = "relay.detach"
