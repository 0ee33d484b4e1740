"""What a simulated cluster is to one hub: the hub's own topology and routing, over simulated nodes."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from relay.broker.cluster import Cluster, Owner
from relay.broker.commands import ServerCommands, script_text
from relay.broker.errors import NotMaster, Redirected, RedisUnavailable, SlotUnsettled
from relay.broker.master import Master
from relay.broker.routed import RoutedCommands
from relay.broker.urls import ClusterUrl, parse
from tests.simulation.broker import SimulatedCommands, SimulatedMaster
from tests.simulation.network import Connection

if TYPE_CHECKING:
    from tests.simulation.cluster import Node, NodeChannel, SimulatedCluster
    from tests.simulation.process import Process

SCRIPTS = (
    "epoch_open",
    "history_append",
    "history_read",
    "history_rewind",
    "history_since",
    "history_trim",
    "presence_write",
    "process_sign",
)
NAMES = {script_text(name)[1]: name for name in SCRIPTS}

SLOTS = 16_384


class NodeCommands(SimulatedCommands):
    """Commands at one node. Keys that it does not own are elsewhere."""

    def __init__(self, process: "Process", node: "Node") -> None:
        super().__init__(process, node)
        self._node = node

    def run(self, *words: Any) -> Awaitable[Any]:
        if words[0] == "EVALSHA":
            _, digest, number, *rest = words
            return self.script(NAMES[digest], rest[:number], rest[number:])
        if words[0] == "CLUSTER":
            return self._process.request(self._slots, self._node)
        return self._process.request(lambda: self._own(words), self._node)

    def script(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Awaitable[Any]:
        execute: Callable[..., Any] = getattr(self, f"_{name}")

        def effect() -> Any:
            if keys:
                self._check_owned()
                if self._node.unsettled and len(keys) > 1:
                    raise SlotUnsettled("TRYAGAIN")
            return execute(self._channel(keys), *arguments)

        return self._process.request(effect, self._node)

    def _own(self, words: Sequence[Any]) -> Any:
        self._check_owned()
        return self._execute(words)

    def _check_owned(self) -> None:
        owner = self._node.owner
        if owner is not self._node:
            raise Redirected(owner.host, owner.port, asking=False)

    def _slots(self) -> list[Any]:
        owner = self._node.owner
        return [[0, SLOTS - 1, [owner.host.encode(), owner.port, owner.identity.encode()]]]

    def _epoch_open(
        self, channel: Any, marker: str, known: int, publish: str, elected: int
    ) -> list[Any]:
        if channel is not None:
            return super()._epoch_open(channel, marker, known, publish, elected)
        channel = self._marked_by(marker)
        heard = channel.open_epoch_without_keys(marker, known)
        return [b"%d" % channel.order.epoch, heard, b"", 0]

    def _marked_by(self, marker: str) -> "NodeChannel":
        node = self._node
        channels = node.channels.values()
        return next(c for c in channels if c.keys.marker(node.identity) == marker)


class NodeMaster(SimulatedMaster):
    """What relay.broker.master.Master is to the hub, for one node."""

    elected = True

    def __init__(self, process: "Process", node: "Node") -> None:
        super().__init__(process, node)
        self.node = node.identity
        self.name = f"{node.host}:{node.port}"
        self.commands = NodeCommands(process, node)
        self._node = node

    async def connect(self, receive: Callable[[Any], None]) -> Connection:
        if not await self._process.request(self._is_master, self._node):
            raise NotMaster(f"{self.name} is a replica now")
        return await super().connect(receive)

    def _is_master(self) -> bool:
        return self._node.owner is self._node


class SimulatedTopology(Cluster):
    """The real one, which asks simulated nodes."""

    def __init__(self, process: "Process", nodes: "Sequence[Node]") -> None:
        self._loop = process.loop
        self._at = {(node.host, node.port): NodeCommands(process, node) for node in nodes}
        super().__init__(
            cast(
                ClusterUrl,
                parse(f"redis+cluster://{','.join(f'{n.host}:{n.port}' for n in nodes)}"),
            )
        )
        for node in nodes:
            owner = Owner(node.host, node.port, node.identity)
            self._masters.put(owner, cast(Master, NodeMaster(process, node)))

    async def look(self) -> None:
        if self._loop.ended:
            raise RedisUnavailable("the process was killed", refused=False)
        await super().look()

    def commands_at(self, host: str, port: int) -> ServerCommands:
        return cast(ServerCommands, self._at[host, port])


class ClusterBroker:
    """What relay.broker.broker.Broker is to the hub."""

    def __init__(self, process: "Process", cluster: "SimulatedCluster") -> None:
        self.topology = SimulatedTopology(process, cluster.nodes)
        self.commands = RoutedCommands(self.topology)

    async def aclose(self) -> None:
        await self.topology.aclose()
