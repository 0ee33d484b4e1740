"""Listening sockets of one address, one for each worker (SO_REUSEPORT, socket(7))."""

import socket

from relay.server.bounds import BACKLOG


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """Returns `count` sockets; the kernel spreads the connections over them by their addresses.

    Port 0 stands for any free one. Raises OSError when the address is taken, also by another parent
    of the same user, whose sockets the kernel would let this one join.
    """
    wanted = socket.AF_INET6 if ":" in host else socket.AF_INET
    family, _, _, _, address = socket.getaddrinfo(
        host, port, wanted, socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with _socket(family) as alone:
        alone.bind(address)
        address = (address[0], alone.getsockname()[1], *address[2:])
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            sockets.append(_socket(family))
            sockets[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sockets[-1].bind(address)
        for each in sockets:  # not before all are bound: the first one would get what is for others
            each.listen(BACKLOG)
    except OSError:
        for each in sockets:
            each.close()
        raise
    return sockets


def _socket(family: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setblocking(False)  # two workers may accept from it during a rolling restart
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made
