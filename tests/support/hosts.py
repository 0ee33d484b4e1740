"""Three hosts with a hub each, one Redis Cluster, and a path from each host to it that can be cut.

Where root may make network namespaces, each host is one, with a cable to the switch of Redis and
another to that of the clients. The namespaces live as long as the processes in them, so that nothing is left
however a test ends. Elsewhere the hosts are addresses of loopback, and each has a user of its own in
Redis: to cut the path is to switch the user off on every node and to close its connections.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from tests.support.cluster import RedisCluster
from tests.support.fork_server import Forked
from tests.support.servers import ROOT, HubProcess
from tests.support.waiting import wait_until

HOSTS = 3
NODE_TIMEOUT_MS = 5_000
"""Long enough that no node of a busy machine counts as dead."""
CLONE_NEWNET = 0x40000000


def _patient(cluster: RedisCluster) -> RedisCluster:
    for node in cluster.nodes:
        with node.client() as client:
            client.config_set("cluster-node-timeout", NODE_TIMEOUT_MS)
    return cluster


class HostHub(HubProcess):
    """`relay serve --workers 2` at an address of a host; `prefix` leads into the host.

    It does not wait until it is up, so that several can start at once.
    """

    def __init__(
        self, redis_url: str, address: str, prefix: Sequence[str], **settings: Any
    ) -> None:
        self.address = address
        self._prefix = prefix
        super().__init__(redis_url, ALLOWED_HOSTS=address, **settings)

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    def start(self) -> None:
        words = ["manage.py", "relay", "serve", "--workers", "2"]
        self.process = self._run([*words, "--host", self.address, "--port", str(self.port)])

    def wait_until_up(self) -> None:
        """Waits until both workers are live."""
        wait_until(lambda: "2 workers" in self.log(), f"the hub is up: {self.log()}", 30)

    def _run(self, words: list[str]) -> "subprocess.Popen[bytes] | Forked":
        if not self._prefix:
            return super()._run(words)
        return subprocess.Popen(
            [*self._prefix, sys.executable, *words],
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )


class Network(Protocol):
    """Where the hosts are. `cluster` is what they share; hosts have the numbers 1, 2, 3."""

    cluster: RedisCluster

    def hub(self, number: int, **settings: Any) -> HostHub: ...
    def cut(self, number: int) -> None: ...
    def mend(self, number: int) -> None: ...


@contextmanager
def network() -> Iterator[Network]:
    """The best that this machine can do. TEST_HOSTS=loopback asks for loopback."""
    make = _namespaces if _can_have_namespaces() else _loopback
    with make() as made:
        yield made


def _can_have_namespaces() -> bool:
    """Tries all that is needed, in namespaces that are gone at once."""
    programs = all(shutil.which(name) for name in ("ip", "nsenter", "unshare"))
    if os.environ.get("TEST_HOSTS") == "loopback" or os.geteuid() != 0 or not programs:
        return False
    try:
        with _Namespace() as one, _Namespace() as other:
            one.ip("link add switch type bridge")
            one.ip(f"link add one type veth peer name other netns {other.pid}")
            one.ip("link set one master switch")
    except (OSError, subprocess.SubprocessError):
        return False
    return True


# -- loopback


class Loopback:
    def __init__(self, cluster: RedisCluster) -> None:
        self.cluster = cluster
        for number in range(1, HOSTS + 1):
            self._on_each_node(
                "ACL", "SETUSER", f"host{number}", "on", ">secret", "~*", "&*", "+@all"
            )

    def hub(self, number: int, **settings: Any) -> HostHub:
        url = self.cluster.url_of(f"host{number}:secret@")
        return HostHub(url, f"127.0.1.{number}", (), **settings)

    def cut(self, number: int) -> None:
        self._on_each_node("ACL", "SETUSER", f"host{number}", "off")
        self._on_each_node("CLIENT", "KILL", "USER", f"host{number}")

    def mend(self, number: int) -> None:
        self._on_each_node("ACL", "SETUSER", f"host{number}", "on")

    def _on_each_node(self, *words: str) -> None:
        for node in self.cluster.nodes:
            with node.client() as client:
                client.execute_command(*words)


@contextmanager
def _loopback() -> Iterator[Network]:
    with contextlib.closing(_patient(RedisCluster())) as cluster:
        yield Loopback(cluster)


# -- namespaces


class _Namespace:
    """A network namespace without a name; it ends with this process at the latest."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo; cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.pid = self._holder.pid
        assert self._holder.stdout is not None
        if not self._holder.stdout.readline():
            self.close()
            raise OSError("no namespace can be made")
        self.path = f"/proc/{self.pid}/ns/net"
        self.prefix = ["nsenter", f"--net={self.path}"]

    def __enter__(self) -> "_Namespace":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._holder.communicate()

    def ip(self, words: str) -> None:
        command = [*self.prefix, "ip", *words.split()]
        subprocess.run(command, check=True, capture_output=True, timeout=10)


class Namespaces:
    """Redis and the test are at 10.99.0.254 and 10.98.0.254, the hosts beside them."""

    def __init__(self, centre: _Namespace, hosts: Sequence[_Namespace]) -> None:
        self._centre = centre
        self._hosts = hosts
        centre.ip("link set lo up")
        for switch, net in (("redis", "10.99.0"), ("clients", "10.98.0")):
            centre.ip(f"link add {switch} type bridge")
            centre.ip(f"addr add {net}.254/24 dev {switch}")
            centre.ip(f"link set {switch} up")
            for number, host in enumerate(hosts, 1):
                centre.ip(
                    f"link add {switch}{number} type veth peer name {switch} netns {host.pid}"
                )
                centre.ip(f"link set {switch}{number} master {switch} up")
                host.ip(f"addr add {net}.{number}/24 dev {switch}")
                host.ip(f"link set {switch} up")
                host.ip("link set lo up")
        self.cluster = _patient(RedisCluster(address="10.99.0.254", prefix=centre.prefix))

    def hub(self, number: int, **settings: Any) -> HostHub:
        prefix = self._hosts[number - 1].prefix
        return HostHub(self.cluster.url, f"10.98.0.{number}", prefix, **settings)

    def cut(self, number: int) -> None:
        self._centre.ip(f"link set redis{number} down")

    def mend(self, number: int) -> None:
        self._centre.ip(f"link set redis{number} up")


@contextmanager
def _namespaces() -> Iterator[Network]:
    with ExitStack() as stack:
        centre, *hosts = [stack.enter_context(_Namespace()) for _ in range(1 + HOSTS)]
        stack.enter_context(_inside(centre))
        made = Namespaces(centre, hosts)
        stack.callback(made.cluster.close)
        yield made


@contextmanager
def _inside(namespace: _Namespace) -> Iterator[None]:
    """This thread, and those that it starts, are in the namespace."""
    with open("/proc/thread-self/ns/net") as before, open(namespace.path) as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(before.fileno())


def _enter(descriptor: int) -> None:
    setns: Callable[[int, int], int] = ctypes.CDLL(None, use_errno=True).setns
    if setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
