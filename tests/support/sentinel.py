"""A master, two replicas and three sentinels, on loopback, ready in about a second."""

from functools import partial
from hashlib import sha1
from pathlib import Path
from typing import Any

import redis

from tests.support.servers import RedisProcess, RedisServer, free_port
from tests.support.tls import Tls
from tests.support.waiting import wait_until

SERVICE = "mymaster"
DOWN_AFTER_MS = 1000


def _id(port: int) -> str:
    return sha1(str(port).encode(), usedforsecurity=False).hexdigest()


class Sentinel(RedisProcess):
    """One sentinel, which knows the others and the replicas from the start."""

    def __init__(self, port: int, master: RedisServer, others: list[int]) -> None:
        super().__init__(master.command[-1], port, tls=master.tls)
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"sentinel monitor {SERVICE} 127.0.0.1 {master.known_port} 2",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {SERVICE} 3000",
            f"sentinel myid {_id(port)}",
            *(f"sentinel known-sentinel {SERVICE} 127.0.0.1 {p} {_id(p)}" for p in others),
        ]
        self._conf = Path(self.folder.name, "sentinel.conf")
        self._conf.write_text("\n".join(lines) + "\n")
        self.start()

    def start(self) -> None:
        self.run(str(self._conf), "--sentinel", *self.tls_words())

    def client(self, **options: Any) -> "redis.Redis":
        return super().client(socket_timeout=2, **options)

    def knows(self, replicas: int) -> bool:
        try:
            with self.client() as client:
                said = client.sentinel_master(SERVICE)
        except redis.exceptions.RedisError:
            return False
        return bool(said["num-slaves"] == replicas and said["num-other-sentinels"] == 2)


class SentinelDeployment:
    """`url` is the REDIS_URL of a hub on it."""

    def __init__(self, program: str = "", tls: Tls | None = None) -> None:
        at_once = ("--repl-diskless-sync-delay", "0")
        master = RedisServer(*at_once, program=program, tls=tls)
        options = ("--replicaof", "127.0.0.1", str(master.known_port), *at_once)
        replicas = [RedisServer(*options, program=program, tls=tls) for _ in range(2)]
        self.servers = [master, *replicas]
        self.sentinels: list[Sentinel] = []
        try:
            for replica in replicas:
                wait_until(partial(_follows, replica), "the replica follows", 10.0)
            self.url = self._start_sentinels(master)
        except BaseException:
            self.close()
            raise

    def _start_sentinels(self, master: RedisServer) -> str:
        """Returns the URL for hubs."""
        ports = [free_port() for _ in range(3)]
        self.sentinels = [Sentinel(p, master, [o for o in ports if o != p]) for p in ports]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        for sentinel in self.sentinels:
            wait_until(partial(sentinel.knows, 2), "the sentinel knows the others", 15.0)
        if master.tls:
            return f"rediss+sentinel://{hosts}/{SERVICE}/0?{master.tls.query}"
        return f"redis+sentinel://{hosts}/{SERVICE}/0"

    @property
    def master(self) -> RedisServer:
        """The server that most sentinels name."""
        named: list[int] = []
        for sentinel in self.sentinels:
            try:
                with sentinel.client() as client:
                    said = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
            except redis.exceptions.RedisError:
                continue
            named.append(int(said[1]))
        port = max(set(named), key=named.count)
        return next(server for server in self.servers if server.known_port == port)

    def fail_over(self) -> None:
        """A planned failover: the old master goes on for some seconds."""
        wait_until(self._begins_to_fail_over, "a sentinel begins a failover", 20.0)

    def _begins_to_fail_over(self) -> bool:
        try:
            with self.sentinels[0].client() as client:
                client.execute_command("SENTINEL", "FAILOVER", SERVICE)
        except redis.exceptions.ResponseError as error:
            if "NOGOODSLAVE" not in str(error) and "INPROG" not in str(error):
                raise
            return False
        return True

    def wait_for_another(self, old: RedisServer, seconds: float = 15.0) -> RedisServer:
        """Returns the new master as soon as it takes writes."""
        found: list[RedisServer] = []

        def takes_writes() -> bool:
            for server in self.servers:
                if server is not old and server.process is not None:
                    with server.client() as client:
                        if client.execute_command("ROLE")[0] == b"master":
                            found.append(server)
            return bool(found)

        wait_until(takes_writes, "there is another master", seconds)
        return found[0]

    def close(self) -> None:
        for sentinel in self.sentinels:
            sentinel.close()
        for server in self.servers:
            server.close()


def _follows(replica: RedisServer) -> bool:
    with replica.client() as client:
        return bool(client.info("replication").get("master_link_status") == "up")
