"""A master that sentinels watch, and replace when it fails.

https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel
"""

import asyncio
from typing import Any, NamedTuple

from relay.broker.address import RedisAddress
from relay.broker.aging import Aging
from relay.broker.commands import ServerCommands
from relay.broker.elected import ElectedMasters, nobody_answers
from relay.broker.errors import RedisUnavailable
from relay.broker.master import Master
from relay.broker.outage import Outage
from relay.broker.pairs import read_pairs
from relay.broker.urls import SentinelUrl

ANSWER_SECONDS = 0.3
"""How long a sentinel or a replica may take to answer. The others are asked at the same time."""


class NamedMaster(NamedTuple):
    """The master that one sentinel names. The greatest is the newest."""

    epoch: int
    """The configuration epoch: each failover raises it."""
    settled: bool
    """Whether this sentinel leads no failover. One that does names the old master until the end, from
    some moment on with the new epoch."""
    host: str
    port: int

    @classmethod
    def of(cls, answer: Any) -> "NamedMaster":
        """Reads an answer to SENTINEL MASTER."""
        said = read_pairs(answer)
        fails_over = "failover_in_progress" in said["flags"]
        return cls(int(said["config-epoch"]), not fails_over, said["ip"], int(said["port"]))


class Sentinels(ElectedMasters):
    """Asks all of them: the one that leads a failover is the last to name the new master.

    Of several answers the one with the greatest configuration epoch is the newest. During a failover
    the replicas are asked as well: the promoted one takes writes a second before a sentinel names it.
    """

    deployment = "sentinel"

    def __init__(self, url: SentinelUrl) -> None:
        super().__init__(url.name)
        self._url = url
        addresses = [RedisAddress(url.sentinels.of(*host)) for host in url.hosts]
        self._sentinels = [(each.name, ServerCommands(each.client)) for each in addresses]
        RedisAddress(url.masters.of("check", 1))  # raises now for options that cannot be used
        self._masters: Aging[tuple[str, int], Master] = Aging()
        self._epoch = -1
        self._switched = False
        """Whether a failover is under way whose new master is named already."""
        self._ahead: Master | None = None
        """A promoted replica that no sentinel names yet."""
        self._master: Master | None = None
        self._minority = Outage(
            "Redis %s: only %s of %s sentinels answer, so a failover may go unnoticed.",
            "Redis %s: most sentinels answer again.",
        )

    def master(self, key: str) -> Master | None:
        return self._master

    def commands_at(self, host: str, port: int) -> ServerCommands:
        return self._at(host, port).commands

    async def _look(self) -> None:
        answers = await asyncio.gather(
            *(self._ask(commands) for _, commands in self._sentinels), return_exceptions=True
        )
        found = [answer for answer in answers if isinstance(answer, NamedMaster)]
        if not found:
            raise self._silence(answers)
        self._report(len(found), len(answers))
        newest = max(found)
        fails_over = not all(answer.settled for answer in found)
        if newest.epoch > self._epoch and newest.settled:
            self._epoch, self._ahead, self._switched = newest.epoch, None, True
        self._switched = self._switched and fails_over
        if not await self._is_ahead():
            # Once the new master is named, the old one is among the replicas, and says it is a master.
            search = fails_over and not self._switched
            self._ahead = await self._promoted(newest) if search else None
        self.settled = self._ahead is None and not fails_over
        if self._ahead is not None:
            self._master = self._ahead
        elif newest.epoch == self._epoch:
            self._master = self._at(newest.host, newest.port)
        for gone in self._masters.forget({(answer.host, answer.port) for answer in found}):
            await gone.aclose()

    async def _close(self) -> None:
        for _, commands in self._sentinels:
            await commands.aclose()
        for master in self._masters.values():
            await master.aclose()

    def _at(self, host: str, port: int) -> Master:
        master = self._masters.get((host, port))
        if master is None:
            address = RedisAddress(self._url.masters.of(host, port))
            master = self._masters.put((host, port), Master(address, elected=True))
        return master

    async def _ask(self, commands: ServerCommands) -> NamedMaster:
        async with asyncio.timeout(ANSWER_SECONDS):
            return NamedMaster.of(await commands.run("SENTINEL", "MASTER", self._url.service))

    # -- while a sentinel leads a failover

    async def _is_ahead(self) -> bool:
        """Whether there is a promoted replica that is the master still: the failover was not given up."""
        if self._ahead is None:
            return False
        try:
            return await _role(self._ahead) == "master"
        except OSError:
            return True  # it may be slow; the sentinels decide before long

    async def _promoted(self, old: NamedMaster) -> Master | None:
        """Returns the replica that has become the master, if one has."""
        lists = await asyncio.gather(
            *(self._replicas(commands) for _, commands in self._sentinels), return_exceptions=True
        )
        hosts = {host for each in lists if isinstance(each, list) for host in each}
        replicas = [self._at(*host) for host in hosts if host != (old.host, old.port)]
        roles = await asyncio.gather(*map(_role, replicas), return_exceptions=True)
        promoted = [m for m, role in zip(replicas, roles, strict=True) if role == "master"]
        return promoted[0] if len(promoted) == 1 else None

    async def _replicas(self, commands: ServerCommands) -> list[tuple[str, int]]:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await commands.run("SENTINEL", "REPLICAS", self._url.service)
        replicas = map(read_pairs, answer)
        return [(replica["ip"], int(replica["port"])) for replica in replicas]

    # -- reports

    def _report(self, answered: int, asked: int) -> None:
        if 2 * answered > asked:
            self._minority.end(self, self.name)
        else:
            self._minority.begin(self, self.name, answered, asked)

    def _silence(self, answers: list[Any]) -> RedisUnavailable:
        said = [
            f"{name}: {str(error) or 'no answer'}"
            for (name, _), error in zip(self._sentinels, answers, strict=True)
        ]
        return nobody_answers(f"no sentinel names a master ({'; '.join(said)})", answers)


async def _role(master: Master) -> str:
    """Returns the role of a server, as it says itself. HELLO needs no right."""
    async with asyncio.timeout(ANSWER_SECONDS):
        return read_pairs(await master.commands.run("HELLO"))["role"]
