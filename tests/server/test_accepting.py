"""How many connections one turn of the event loop accepts, on Twisted's own port."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from twisted.internet import tcp
from twisted.internet.protocol import Factory, Protocol

from relay.server import internals

WAITING = 70

Port: Any = tcp.Port  # half typed


class Reactor:
    """As much of a reactor as a port needs; nobody turns it."""

    def addReader(self, reader: object) -> None:
        pass

    removeReader = addReader


class Counting(Factory):
    noisy = False

    def __init__(self) -> None:
        self.accepted = 0

    def buildProtocol(self, addr: object) -> Protocol | None:
        self.accepted += 1
        return None  # Twisted closes it


@pytest.fixture
def factory() -> Counting:
    return Counting()


@pytest.fixture
def port(factory: Counting) -> Iterator[Any]:
    """A port for which connections wait."""
    port = Port(0, factory, interface="127.0.0.1", backlog=100, reactor=Reactor())
    port.startListening()
    with ExitStack() as clients:
        for _ in range(WAITING):
            clients.enter_context(socket.create_connection(("127.0.0.1", port.getHost().port)))
        yield port
        port.socket.close()


def turns(port: Any, factory: Counting) -> Iterator[int]:
    """How many connections each turn accepts, until none waits."""
    while factory.accepted < WAITING:
        before = factory.accepted
        port.doRead()
        yield factory.accepted - before


def test_twisted_alone_accepts_all_that_wait_at_once(port: Any, factory: Counting) -> None:
    assert list(turns(port, factory)) == [WAITING]


def test_a_bounded_port_accepts_a_few_in_each_turn(port: Any, factory: Counting) -> None:
    internals.accept_at_most(port, 32)
    assert list(turns(port, factory)) == [32, 32, WAITING - 64]


def test_all_that_wait_are_accepted_at_the_end_all_the_same(port: Any, factory: Counting) -> None:
    internals.accept_at_most(port, 8)
    internals.accept_waiting(port, 4096)
    assert factory.accepted == WAITING
