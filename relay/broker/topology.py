"""Which server is the master of a key, and the commands that go to it."""

from typing import Protocol

from relay.broker.address import RedisAddress
from relay.broker.cluster import Cluster
from relay.broker.commands import Commands
from relay.broker.elected import ElectedMasters
from relay.broker.master import Master
from relay.broker.routed import RoutedCommands
from relay.broker.sentinels import Sentinels
from relay.broker.urls import ClusterUrl, SentinelUrl, parse


class Topology(Protocol):
    """The servers of one deployment of Redis."""

    name: str
    """For the log; holds no password."""

    deployment: str
    """`server`, `sentinel` or `cluster`."""

    fixed: bool
    """Whether no other server ever becomes the master."""

    settled: bool
    """Whether no other server is about to become a master, as far as this process knows."""

    def master(self, key: str) -> Master | None:
        """Returns the master of a key, as of the last look. None where nobody knows one."""

    async def look(self) -> None:
        """Asks which servers are the masters now. Raises RedisUnavailable when nobody answers."""

    async def aclose(self) -> None:
        """Closes the connections for commands."""


class OneServer:
    """A server that stands alone."""

    deployment = "server"
    fixed = True
    settled = True

    def __init__(self, url: str) -> None:
        self._master = Master(RedisAddress(url))
        self.name = self._master.name

    def master(self, key: str) -> Master:
        return self._master

    async def look(self) -> None:
        """There is nobody to ask."""

    async def aclose(self) -> None:
        await self._master.aclose()


def open_topology(url: str) -> tuple[Topology, Commands]:
    """Returns the deployment that a URL names, and commands that go to the master of their key.

    Raises ValueError for a URL that cannot be used.
    """
    topology: ElectedMasters
    match parse(url):
        case SentinelUrl() as sentinels:
            topology = Sentinels(sentinels)
        case ClusterUrl() as cluster:
            topology = Cluster(cluster)
        case _:
            server = OneServer(url)
            return server, server.master("").commands
    return topology, RoutedCommands(topology)
