"""A Redis Cluster: each key has a slot, and each slot a master (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec)."""

import asyncio
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from redis.crc import key_slot

from relay.broker.address import RedisAddress
from relay.broker.aging import Aging
from relay.broker.commands import ServerCommands
from relay.broker.elected import ElectedMasters, nobody_answers
from relay.broker.master import Master
from relay.broker.pairs import read_pairs
from relay.broker.urls import ClusterUrl

ANSWER_SECONDS = 0.5
"""How long a node may take to answer. Others are asked at the same time."""

ASKED = 5
"""How many nodes are asked: one that was cut off or demoted is the last to know it."""


class Owner(NamedTuple):
    """A node that owns slots."""

    host: str
    port: int
    node: str


class Slots:
    """Which node owns each slot, as one answer to CLUSTER SLOTS or several say."""

    def __init__(self, starts: Sequence[int], owners: Sequence[Owner | None]) -> None:
        self._starts = starts
        self._owners = owners

    @classmethod
    def of(cls, ranges: Iterable[tuple[int, int, Owner]]) -> "Slots":
        starts: list[int] = [0]
        owners: list[Owner | None] = [None]
        for first, last, owner in sorted(ranges):
            for start, each in ((first, owner), (last + 1, None)):
                if start == starts[-1]:
                    owners[-1] = each
                else:
                    starts.append(start)
                    owners.append(each)
        return cls(starts, owners)

    def owner(self, slot: int) -> Owner | None:
        return self._owners[bisect_right(self._starts, slot) - 1]

    @property
    def starts(self) -> Sequence[int]:
        """Where the ranges begin in which the owner is the same."""
        return self._starts

    @property
    def all_owners(self) -> set[Owner]:
        return {owner for owner in self._owners if owner is not None}

    def agreed(self, answers: Sequence["Slots"]) -> "Slots":
        """Returns what most answers say of each slot; what this one says where they are even."""
        starts = sorted({start for each in answers for start in each.starts})
        return Slots(starts, [self._most(start, answers) for start in starts])

    def _most(self, slot: int, answers: Sequence["Slots"]) -> Owner | None:
        votes = Counter(each.owner(slot) for each in answers)
        most = max(votes.values())
        named = [owner for owner, number in votes.items() if number == most]
        here = self.owner(slot)
        return here if here in named else named[0]


class Cluster(ElectedMasters):
    """Asks several nodes which master owns which slot."""

    deployment = "cluster"

    def __init__(self, url: ClusterUrl) -> None:
        super().__init__(url.name)
        self._url = url
        self._slots = Slots.of([])
        self._known: list[tuple[str, int]] = list(url.hosts)
        """The addresses of all nodes, replicas included."""
        self._masters: Aging[Owner, Master] = Aging()
        self._commands: Aging[tuple[str, int], ServerCommands] = Aging()
        for host in url.hosts:
            self.commands_at(*host)  # raises now for options that cannot be used

    def master(self, key: str) -> Master | None:
        owner = self._slots.owner(key_slot(key.encode()))
        return self._masters.get(owner) if owner else None

    def commands_at(self, host: str, port: int) -> ServerCommands:
        host = host if host not in {"", "?"} else self._url.hosts[0][0]
        commands = self._commands.get((host, port))
        if commands is None:
            address = RedisAddress(self._url.nodes.of(host, port))
            commands = self._commands.put((host, port), ServerCommands(address.client))
        return commands

    async def _look(self) -> None:
        asked = random.sample(self._known, min(len(self._known), ASKED))
        found, errors = await self._ask(asked)
        if not found:
            found, more = await self._ask(self._url.hosts)
            errors += more
        if not found:
            raise nobody_answers(f"no node answers ({str(errors[-1]) or 'no answer'})", errors)
        self._slots = self._slots.agreed([slots for slots, _ in found])
        self._known = list({node for _, nodes in found for node in nodes}) or self._known
        owners = self._slots.all_owners
        for owner in owners:
            if self._masters.get(owner) is None:
                address = RedisAddress(self._url.nodes.of(owner.host, owner.port))
                self._masters.put(owner, Master(address, owner.node, elected=True))
        for commands in self._commands.forget({*self._known, *self._url.hosts}):
            await commands.aclose()
        for master in self._masters.forget(owners):
            await master.aclose()

    async def _close(self) -> None:
        for commands in self._commands.values():
            await commands.aclose()
        for master in self._masters.values():
            await master.aclose()

    async def _ask(
        self, hosts: Iterable[tuple[str, int]]
    ) -> tuple[list[tuple[Slots, list[tuple[str, int]]]], list[Exception]]:
        """Returns the slots and the nodes that each one names, and why the others do not."""
        answers = await asyncio.gather(
            *(self._ask_one(*host) for host in hosts), return_exceptions=True
        )
        errors = [each for each in answers if isinstance(each, Exception)]
        return [each for each in answers if isinstance(each, tuple)], errors

    async def _ask_one(self, host: str, port: int) -> tuple[Slots, list[tuple[str, int]]]:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await self.commands_at(host, port).run("CLUSTER", "SLOTS")
        known = [_owner(node, host)[:2] for _, _, *nodes in answer for node in nodes]
        return Slots.of(read_slots(answer, host)), known


def read_slots(answer: Any, asked: str) -> list[tuple[int, int, Owner]]:
    """Reads an answer to CLUSTER SLOTS: the first and the last slot of each range, and its master."""
    return [(first, last, _owner(nodes[0], asked)) for first, last, *nodes in answer if nodes]


def _owner(node: Sequence[Any], asked: str) -> Owner:
    """Reads a node of CLUSTER SLOTS. One without a host is at the host that was asked.

    Where hostnames are preferred and a node has none, its address is among the further fields.
    """
    host, port, identity, *further = node
    name = host.decode() if host else ""
    if name == "?" and further:
        name = read_pairs(further[0]).get("ip", "")
    return Owner(asked if name in {"", "?"} else name, int(port), identity.decode())
