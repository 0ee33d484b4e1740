"""Takes a connection away from Twisted and Daphne, for a stream (relay/sockets/detached.py)."""

import socket
from typing import Any

from twisted.internet.tcp import Server

from relay.server import internals
from relay.sockets.detached import Detached


def take_connection(request: Any) -> Detached | None:
    """Returns the socket of a request to which nothing has been answered; nothing refers to it any more.

    Returns None for a connection over TLS, one that the client has left, and one on which bytes wait:
    those of an earlier response, or of a later request. No cycle of objects is left for the garbage
    collector.
    """
    channel, transport = request.channel, request.channel.transport
    if not isinstance(transport, Server) or transport.TLS or not transport.connected:
        return None
    if internals.has_unsent(transport) or internals.has_more(channel) or len(channel.requests) != 1:
        return None
    channel.release()
    transport.stopReading()
    transport.stopWriting()
    sock: socket.socket = transport.socket
    internals.part(channel, transport)
    return Detached(sock, request.clientproto.partition(b"/")[2])
