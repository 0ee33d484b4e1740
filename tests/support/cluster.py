"""A Redis Cluster of three masters and three replicas, ready in about two seconds."""

import random
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from hashlib import sha1
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot

from tests.support.forwarder import Forwarder
from tests.support.servers import RedisProcess, reserve
from tests.support.tls import Tls
from tests.support.waiting import wait_until

NODE_TIMEOUT_MS = 700
BUS = 10_000
"""The port of a node's cluster bus is so much above its own."""

SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))


def _cluster_port() -> int:
    """A port whose bus is below those that the system gives to connections."""
    while True:
        port = random.randint(11_000, 22_000)
        try:
            reserve(port)
            reserve(port + BUS)
        except OSError:
            continue
        return port


class Node(RedisProcess):
    """One redis-server of the cluster. `kill` and `start` again keep its port and its id.

    Where its address is `translated`, as by a container's host, it announces the port of a forwarder.
    """

    def __init__(
        self,
        program: str,
        address: str,
        prefix: Sequence[str],
        tls: Tls | None = None,
        *,
        translated: bool = False,
    ) -> None:
        super().__init__(program, _cluster_port(), address, prefix, tls)
        self.id = sha1(str(self.known_port).encode(), usedforsecurity=False).hexdigest()
        self._bus_port = self.known_port + BUS
        self._translated = translated
        self._stack = ExitStack()
        if translated:
            self.known_port = self._stack.enter_context(Forwarder(self.port)).port

    @property
    def line(self) -> str:
        return f"{self.id} {self.address}:{self.known_port}@{self._bus_port}"

    def start(self) -> None:
        words = ["--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS)]
        words += ["--repl-diskless-sync-delay", "0", "--protected-mode", "no"]
        words += ["--tls-cluster", "yes"] if self.tls else []
        if self._translated:
            words += ["--cluster-announce-ip", self.address]
            words += ["--cluster-announce-port", str(self.known_port)]
        self.run(*self.server_words(), *words)

    def close(self) -> None:
        super().close()
        self._stack.close()

    def client(self, **options: Any) -> "redis.Redis":
        return super().client(**{"socket_timeout": 5, **options})

    def role(self) -> bytes:
        """Its role; empty where it does not answer."""
        try:
            with self.client(socket_timeout=0.5) as client:
                return bytes(client.execute_command("ROLE")[0])
        except redis.exceptions.RedisError:
            return b""


class RedisCluster:
    """`url` is the REDIS_URL of a hub on it. Each master has one replica, `nodes[n + 3]`.

    Its nodes have an address of this machine, and `prefix` before their command line.
    """

    def __init__(
        self,
        program: str = "",
        address: str = "127.0.0.1",
        prefix: Sequence[str] = (),
        tls: Tls | None = None,
        *,
        translated: bool = False,
    ) -> None:
        self._tls = tls
        self.nodes = [Node(program, address, prefix, tls, translated=translated) for _ in range(6)]
        self.url = self.url_of("")
        for node in self.nodes:
            Path(node.folder.name, "nodes.conf").write_text(self._configuration(node))
            node.start()
        try:
            for node in self.nodes:
                wait_until(partial(self._is_ready, node), "the node is ready", 20.0)
        except BaseException:
            self.close()
            raise

    def url_of(self, user: str) -> str:
        """The REDIS_URL of a user, written as `name:password@`."""
        hosts = ",".join(f"{node.address}:{node.known_port}" for node in self.nodes[:3])
        if self._tls is None:
            return f"redis+cluster://{user}{hosts}"
        return f"rediss+cluster://{user}{hosts}/0?{self._tls.query}"

    def owner(self, channel: str = "demo_stream") -> Node:
        """The master of a channel's keys, as most nodes say."""
        slot, named = key_slot(channel.encode()), []
        for node in self.nodes:
            try:
                with node.client() as client:
                    ranges = client.execute_command("CLUSTER SLOTS")
            except redis.exceptions.RedisError:
                continue
            named += [
                _port(owner) for first, last, owner in _ranges(ranges) if first <= slot <= last
            ]
        port = max(set(named), key=named.count)
        return next(node for node in self.nodes if port in {node.port, node.known_port})

    def replica_of(self, node: Node) -> Node:
        """The node that follows a master, when there is one."""
        found = wait_until(lambda: self._followers(node), "it has a replica")
        return found[0]  # type: ignore[no-any-return]

    def _followers(self, node: Node) -> list[Node]:
        following = []
        for each in self.nodes:
            if each.process is None:
                continue
            with each.client() as client:
                role = client.execute_command("ROLE")
            if role[0] == b"slave" and int(role[2]) == node.known_port:
                following.append(each)
        return following

    def others(self, node: Node) -> list[Node]:
        return [each for each in self.nodes if each is not node and each.process is not None]

    def fail_over(self, node: Node) -> Node:
        """A planned failover, which closes nothing. Returns the new master."""
        replica = self.replica_of(node)
        with replica.client() as client:
            client.execute_command("CLUSTER FAILOVER")
        self.wait_for_master(replica)
        return replica

    def wait_for_master(self, node: Node) -> None:
        """Waits until the node is a master and every node that answers names it as one."""
        wait_until(lambda: node.role() == b"master", "the replica takes over", 20)
        wait_until(lambda: all(self._names(each, node) for each in self.nodes), "all know it", 20)

    def _names(self, asked: Node, node: Node) -> bool:
        """Whether a node names another one as a master, or does not answer."""
        if not asked.role():
            return True
        with asked.client() as client:
            ranges = client.execute_command("CLUSTER SLOTS")
        ports = {_port(owner) for _, _, owner in _ranges(ranges)}
        return bool(ports & {node.port, node.known_port})

    def move_slot(self, slot: int, source: Node, target: Node) -> None:
        """Moves a slot and its keys, as `redis-cli --cluster reshard` does."""
        with source.client() as old, target.client() as new:
            new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", source.id)
            old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", target.id)
            while keys := old.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
                old.execute_command(
                    "MIGRATE", target.address, target.port, "", 0, 5000, "KEYS", *keys
                )
            for node in self.nodes:
                if node.process is not None and node.role() == b"master":
                    with node.client() as client:
                        client.execute_command("CLUSTER SETSLOT", slot, "NODE", target.id)

    def close(self) -> None:
        for node in self.nodes:
            if node.process is not None:
                node.signal(signal.SIGCONT)
            node.close()

    def _configuration(self, own: Node) -> str:
        lines = []
        for number, node in enumerate(self.nodes):
            flags = "myself," if node is own else ""
            if number < 3:
                first, last = SLOTS[number]
                lines.append(
                    f"{node.line} {flags}master - 0 0 {number + 1} connected {first}-{last}"
                )
            else:
                master = self.nodes[number - 3]
                lines.append(f"{node.line} {flags}slave {master.id} 0 0 {number - 2} connected")
        return "\n".join([*lines, "vars currentEpoch 3 lastVoteEpoch 0"]) + "\n"

    def _is_ready(self, node: Node) -> bool:
        try:
            with node.client() as client:
                info = client.info("replication")
                state = client.execute_command("CLUSTER INFO")
        except redis.exceptions.RedisError:
            return False
        ok = state["cluster_state"] == "ok" if isinstance(state, dict) else b"state:ok" in state
        return ok and info.get("master_link_status", "up") == "up"


def _ranges(answer: Any) -> list[tuple[int, int, Any]]:
    """Reads CLUSTER SLOTS, which some versions of redis-py have read already."""
    if isinstance(answer, dict):
        return [(first, last, said["primary"]) for (first, last), said in answer.items()]
    return [(entry[0], entry[1], entry[2]) for entry in answer]


def _port(owner: Any) -> int:
    return int(owner[1])
