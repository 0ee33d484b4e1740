"""Random runs of hubs at a simulated cluster, whose slots get other owners."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Self
from unittest import mock

from relay.broker import elected
from relay.wire.position import Position
from tests.simulation.client import Client
from tests.simulation.cluster import Node, NodeOrder, SimulatedCluster
from tests.simulation.schedule import Schedule
from tests.simulation.simulation import Simulation
from tests.simulation.truth import Violation

MOVES: dict[str, float] = {"failover": 3, "crash": 3, "freeze": 3, "migrate": 2}
"""Each of them gives the slots another owner, or may."""

FAULTS: dict[str, float] = {
    "kill": 2,
    "stop": 2,
    "cut": 4,
    "deafen": 1,
    "stall": 3,
    "unplug": 1,
    "flaky": 1,
    "hang": 2,
    "trim": 1,
    "junk": 1,
}


class ClusterClient(Client):
    """Also checks that the orders of two nodes are never joined, but for a gap of unknown size."""

    order: NodeOrder

    def _see_message(self, position: Position | None, data: bytes) -> None:
        self._stay(position)
        super()._see_message(position, data)

    def _see_position(self, position: Position) -> None:
        self._stay(position)
        super()._see_position(position)

    def _see_gap(self, position: Position | None, gap: dict[str, Any]) -> None:
        if position is not None and self.place is not None:
            order = self.order.of(position)
            if order is not self.order and gap["missed"] is not None:
                raise Violation(f"I5: {self} comes to another node, and is told a number: {gap}")
            # It was at a node where hubs have left the epoch, or never heard of it.
            if self._is_before(position) and gap["reason"] != "unknown-id":
                raise Violation(f"I5: {self} is sent back to {position}: {gap}")
            if order is not self.order:
                self.place = None
        if position is not None:
            self.order = self.order.of(position)
        super()._see_gap(position, gap)

    def _stay(self, position: Position | None) -> None:
        if position is None:
            return
        order = self.order.of(position)
        if self.place is not None and order is not self.order:
            raise Violation(f"I5: {self} gets {position} of another node without a gap")
        self.order = order
        if self._is_before(position):
            raise Violation(f"I5: {self} gets {position} of an older epoch")

    def _is_before(self, position: Position) -> bool:
        at = Position.parse(self.last_id.decode()) if self.last_id else None
        return not self.announced and at is not None and position.epoch < at.epoch


class ClusterSimulation(Simulation):
    redis_type = SimulatedCluster
    client_type = ClusterClient

    def __enter__(self) -> Self:
        super().__enter__()
        clock = SimpleNamespace(monotonic=lambda: self.world.now)
        self._stack.enter_context(mock.patch.object(elected, "time", clock))
        return self


class ClusterSchedule(Schedule):
    """One random run, in which the slots move: as planned, after a crash, or away from a stopped owner."""

    simulation_type = ClusterSimulation
    redis: SimulatedCluster

    def __init__(self, seed: int) -> None:
        super().__init__(seed, FAULTS)
        self.weights |= MOVES | {"join": 6}
        self.steps = self.random.choice([60, 120])
        self.pace = self.random.choice([0.01, 0.05])
        self._moving_until = 0.0

    # -- moves

    def _may_move(self) -> bool:
        """Whether the one before is over. Two at a time would leave no node that knows anything."""
        return self.simulation.world.now >= self._moving_until

    def _move_for(self, seconds: float) -> None:
        until = self.simulation.world.now + seconds
        self._moving_until = max(self._moving_until, until)
        self.calm_at = max(self.calm_at, until)

    def _chatter(self) -> None:
        """Messages all through a move, so that many are at one node and not yet at the other."""
        world, channel = self.simulation.world, self._some_channel().name
        when = 0.0
        for number in range(self.random.choice([0, 50, 200])):
            world.after(when, self._say_if_up, channel, b"move %d" % number)
            when += self.random.expovariate(1 / 0.01)

    def _after(self, seconds: float, callback: Any, *args: Any) -> None:
        self._move_for(seconds)
        self.simulation.world.after(seconds, callback, *args)

    def _failover(self) -> None:
        """CLUSTER FAILOVER: nothing is lost. The owner before hears of it a moment later."""
        if self._may_move():
            self._chatter()
            before = self.redis.elect(0, self.redis.counters())
            self._after(self.random.choice([0.0, 0.003, 0.05, 0.3]), self.redis.learn, before)

    def _migrate(self) -> None:
        """The slots move with all that they have. Meanwhile no script gets their keys."""
        if self._may_move():
            self._chatter()
            self.redis.owner.unsettled = True
            self._after(self.random.choice([0.05, 0.5, 2.0]), self._end_migration)

    def _end_migration(self) -> None:
        before = self.redis.elect(0, self.redis.counters())
        self._after(self.random.choice([0.0, 0.003, 0.05]), self.redis.learn, before)

    def _crash(self) -> None:
        """The owner ends, the other one is elected, and the owner before comes back as its replica."""
        if self._may_move():
            self._chatter()
            self.redis.kill(self.redis.owner)
            self._after(self.random.uniform(0.3, 1.5), self._replace_crashed)

    def _replace_crashed(self) -> None:
        before = self._elect_with_lag()
        self._after(self.random.uniform(0.1, 2.0), self._rejoin, before)

    def _rejoin(self, node: Node) -> None:
        node.down = False
        self.redis.learn(node)

    def _freeze(self) -> None:
        """SIGSTOP of a node. If it is long enough and hits the owner, the other one is elected.

        A node that wakes believes for a moment to be what it was.
        """
        if not self._may_move():
            return
        self._chatter()
        node = self.random.choice([self.redis.owner, self.redis.owner, self.redis.other])
        seconds, timeout = self.random.choice([0.2, 1.5, 2.5, 4.0]), self.random.uniform(0.3, 1.2)
        node.stopped_until = self.simulation.world.now + seconds
        if node is self.redis.owner and seconds > timeout:
            self._after(timeout, self._elect_with_lag)
        self._after(seconds + self.random.choice([0.001, 0.02, 0.2]), self.redis.learn, node)

    def _elect_with_lag(self) -> Node:
        lost = self.random.choice([0, 0, 1, 5, 100])
        return self.redis.elect(lost, self.random.choice(self.counters))

    # -- other faults

    def _junk(self) -> None:
        node = self.random.choice(self.redis.nodes)
        if not node.down:
            marker = self._some_channel().keys.marker(node.identity)
            node.publish(marker, self.random.choice([b"", b"12x", b"\xff", b"1" * 30]))

    # -- checks

    def _unsettled(self) -> Iterator[str]:
        yield from super()._unsettled()
        names = set(self.redis.channels)
        for connection in self.redis.other.connections:
            if connection.channels & names:
                yield f"{connection} still listens at the node that owns nothing"
        for process in self.simulation.alive:
            if process.hub.context.link.interrupted:
                yield f"process {process.name} is interrupted"
        for client in self.simulation.clients:
            if client.order is not self.redis.channels[client.channel].order:
                yield f"{client} is not at the owner"
