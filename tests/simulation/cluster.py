"""A simulated Redis Cluster: two nodes and the bus between them, one of which owns every slot.

Publishers use either node. A node delivers to its own subscribers at once, and its messages pass over the
bus to those of the other one. So each node has an order of its own of the same messages. It is the owner who
opens epochs and keeps the history. The other node has both with a lag.
"""

from collections import deque
from typing import TYPE_CHECKING

from relay.wire.position import Position
from tests.simulation.clock import START_MS, World
from tests.simulation.cluster_broker import ClusterBroker
from tests.simulation.network import Connection
from tests.simulation.redis import SimulatedChannel, SimulatedRedis
from tests.simulation.truth import Order, Violation

if TYPE_CHECKING:
    from tests.simulation.process import Process

Counters = dict[str, int | None]


class NodeOrder(Order):
    """The messages of one channel as one node has them. `epochs` holds those of all nodes."""

    def __init__(self, epochs: "dict[int, NodeOrder]") -> None:
        super().__init__()
        self.epochs = epochs

    def mark(self, epoch: int) -> None:
        if epoch in self.epochs:
            raise Violation(f"epoch {epoch} was opened twice: its ids name two messages each")
        self.epochs[epoch] = self
        super().mark(epoch)

    def of(self, position: Position) -> "NodeOrder":
        """Returns the order of the node that opened the epoch of `position`."""
        order = self.epochs.get(position.epoch)
        if order is None:
            raise Violation(f"{position} was never an id")
        return order


class NodeChannel(SimulatedChannel):
    """One channel at one node."""

    order: NodeOrder

    def __init__(self, name: str, node: "Node", epochs: dict[int, NodeOrder]) -> None:
        super().__init__(name, node)
        self.order = NodeOrder(epochs)

    def order_of(self, position: Position) -> NodeOrder:
        return self.order.of(position)


class Node(SimulatedRedis):
    """One node. `owner` is the owner of the slots as far as this node knows; it may not know it yet."""

    host = "node"
    channels: dict[str, NodeChannel]  # type: ignore[assignment]

    def __init__(self, world: World, port: int, epochs: dict[str, dict[int, NodeOrder]]) -> None:
        super().__init__(world, [])
        self.port = port
        self.identity = f"{port:040}"
        self.owner: Node = self
        self.unsettled = False
        """Whether the slots are on their way to the other node, so that no script gets their keys."""
        self.skew_us = world.random.choice([0, 0, world.random.randint(-50_000, 50_000)])
        self.channels = {name: NodeChannel(name, self, known) for name, known in epochs.items()}
        self.bus: Bus

    def now_us(self) -> int:
        return START_MS * 1000 + self.skew_us + int(self.world.now * 1_000_000)

    def now_ms(self) -> int:
        return self.now_us() // 1000

    def publish(self, channel: str, payload: bytes) -> int:
        heard = self.deliver(channel, payload)
        self.bus.send(channel, payload)
        return heard

    def deliver(self, channel: str, payload: bytes) -> int:
        """To the subscribers of this node alone. Returns how many there are."""
        return super().publish(channel, payload)

    def take_over(self, before: "Node", lost_entries: int, counters: Counters) -> None:
        """Has what the owner before had, but for the newest entries and with older counters."""
        for name, channel in self.channels.items():
            channel.history = before.channels[name].history.copy(self.now_ms)
            channel.history.lose_tail(max(len(channel.history.entries) - lost_entries, 0))
            channel.counter = counters[name]
        self.owner = self


class Bus:
    """The way of messages from one node to the subscribers of another: first in, first out."""

    def __init__(self, world: World, target: Node) -> None:
        self._world = world
        self._target = target
        self._queue: deque[tuple[str, bytes]] = deque()
        self._last = 0.0

    def send(self, channel: str, payload: bytes) -> None:
        self._queue.append((channel, payload))
        self._last = max(self._last, self._world.now + self._world.delay())
        self._world.after(self._last - self._world.now, self._arrive)

    def cut(self) -> None:
        """The sender has ended; a part of what is on its way still arrives."""
        for _ in range(self._world.random.randint(0, len(self._queue))):
            self._queue.pop()

    def _arrive(self) -> None:
        pause = self._target.stopped_until - self._world.now
        if pause > 0:
            self._world.after(pause, self._arrive)
        elif self._queue:
            channel, payload = self._queue.popleft()
            if not self._target.down:
                self._target.deliver(channel, payload)


class SimulatedCluster(SimulatedRedis):
    """Both nodes. Its channels are those of the owner. It is never down as a whole."""

    def __init__(self, world: World, names: list[str]) -> None:
        epochs: dict[str, dict[int, NodeOrder]] = {name: {} for name in names}
        self.nodes = [Node(world, port, epochs) for port in (7000, 7001)]
        self.owner = self.nodes[0]
        """The one that was elected last, whatever the nodes know of it."""
        self.world = world
        self.down = self.refusing = False
        for node, other in zip(self.nodes, reversed(self.nodes), strict=True):
            node.owner = self.owner
            node.bus = Bus(world, other)

    def broker(self, process: "Process") -> ClusterBroker:  # type: ignore[override]
        return ClusterBroker(process, self)

    @property
    def other(self) -> Node:
        """The node that does not own the slots."""
        return next(node for node in self.nodes if node is not self.owner)

    @property
    def connections(self) -> list[Connection]:  # type: ignore[override]
        return [connection for node in self.nodes for connection in node.connections]

    @property
    def channels(self) -> dict[str, NodeChannel]:  # type: ignore[override]
        return self.owner.channels

    def publish(self, channel: str, payload: bytes) -> int:
        """Through either node. One that is stopped executes it later."""
        node = self.world.random.choice([node for node in self.nodes if not node.down])
        pause = node.stopped_until - self.world.now
        if pause > 0:
            self.world.after(pause + self.world.delay(), node.publish, channel, payload)
            return 0
        return node.publish(channel, payload)

    def mend_clock(self) -> None:
        """Its clocks are right but for a small skew."""

    # -- the owner changes

    def elect(self, lost_entries: int, counters: Counters) -> Node:
        """Lets the other node own the slots. Returns the owner before, who does not know it yet."""
        before, new = self.owner, self.other
        new.take_over(before, lost_entries, counters)
        self.owner = new
        return before

    def counters(self) -> Counters:
        return {name: channel.counter for name, channel in self.channels.items()}

    def kill(self, node: Node) -> None:
        node.down = True
        node.bus.cut()
        node.disconnect_all()

    def learn(self, node: Node) -> None:
        """The node hears who owns the slots, and has ended what it did about them."""
        node.owner, node.unsettled = self.owner, False
