"""Names of Twisted and Daphne that are not public. When one of these fails, a new version has renamed it:
look at what relay/server/ does with it before anything else."""

import inspect

import daphne.server
import pytest
from daphne.http_protocol import WebRequest
from twisted.internet import abstract, base, tcp
from twisted.web import http

from relay.server import internals


def places() -> list[tuple[str, str, str]]:
    transport = inspect.getsource(abstract) + inspect.getsource(tcp) + inspect.getsource(base)
    sources = {
        "CHANNEL": inspect.getsource(http.HTTPChannel),
        "REQUEST": inspect.getsource(http.Request),
        "DAPHNE_REQUEST": inspect.getsource(WebRequest),
        "DAPHNE_SERVER": inspect.getsource(daphne.server.Server),
        "TRANSPORT": transport,
    }
    return [
        (kind, name, source) for kind, source in sources.items() for name in vars(internals)[kind]
    ]


@pytest.mark.parametrize(
    ("kind", "name", "source"), places(), ids=[f"{kind}.{name}" for kind, name, _ in places()]
)
def test_a_name_that_the_server_relies_on_is_there(kind: str, name: str, source: str) -> None:
    assert name in source, f"{name} ({kind}) is not in this version"


def test_daphne_makes_its_connections_with_the_factory_that_is_replaced() -> None:
    assert "HTTPFactory(self)" in inspect.getsource(daphne.server.Server.run)


def test_a_port_accepts_what_waits_when_it_is_read() -> None:
    assert "numberAccepts" in inspect.getsource(tcp.Port.doRead)


def test_twisted_calls_what_is_overridden() -> None:
    source = inspect.getsource(http.HTTPChannel)
    for call in (
        "self.allHeadersReceived()",
        "self.allContentReceived()",
        "self.checkPersistence(",
        "self.headerReceived(",
        "self._respondToBadRequestAndDisconnect()",
        "handleContentChunk",
    ):
        assert call in source, call
    assert "channel.requestDone(self)" in inspect.getsource(http.Request)
