"""All hub processes on a Redis, and its masters, as `manage.py relay status` shows them.

Redis may hold anything. A value that cannot be read is None here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

import redis

from relay.broker.address import RedisAddress
from relay.broker.keys import HubKeys
from relay.broker.sync import SyncRedis, open_sync, run_sync
from relay.conf import Settings
from relay.control.process_list import Listed, read_processes
from relay.control.report import State
from relay.management.redis_check import read_hello


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums of several processes. An unknown value counts as 0."""

    processes: int
    live: int
    streams: int
    messages: int
    """A message counts once in each process that received it."""
    messages_per_second: float
    gaps: int

    @classmethod
    def of(cls, processes: Iterable[Listed]) -> "Sums":
        reports = [process.report for process in processes]
        return cls(
            len(reports),
            sum(report.state is State.LIVE for report in reports),
            sum(report.streams or 0 for report in reports),
            sum(report.messages or 0 for report in reports),
            round(sum(report.messages_per_second or 0 for report in reports), 1),
            sum(report.gaps or 0 for report in reports),
        )

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Overview:
    """`processes` are sorted by host and id of the process."""

    prefix: str
    processes: Sequence[Listed]
    channels_with_streams: int | None
    """Each channel or pattern once; None where Redis refuses to say (the right +hkeys)."""
    deployment: str
    """`server`, `sentinel` or `cluster`."""
    masters: Sequence[Mapping[str, str]]
    """What each master says of itself: `address`, `version`, `role` (master, replica), `mode`."""

    @property
    def total(self) -> Sums:
        return Sums.of(self.processes)

    @property
    def hosts(self) -> Mapping[str | None, Sums]:
        """The sums of each host, and under None those of the processes whose host is unknown."""
        groups = groupby(self.processes, attrgetter("report.host"))
        return {host: Sums.of(group) for host, group in groups}

    def as_json(self) -> dict[str, Any]:
        """Returns what --json prints: these names stay (docs/operations.md)."""
        total = {**self.total.as_json(), "channels_with_streams": self.channels_with_streams}
        return {
            "prefix": self.prefix,
            "total": total,
            "hosts": [{"host": host, **sums.as_json()} for host, sums in self.hosts.items()],
            "processes": [_process_as_json(process) for process in self.processes],
            "redis": {
                "deployment": self.deployment,
                "masters": [dict(each) for each in self.masters],
            },
        }


def read_overview(settings: Settings) -> Overview:
    """Raises RedisUnavailable."""
    url, keys = settings.redis_url, HubKeys(settings.prefix)
    processes = sorted(read_processes(url, keys), key=_place)
    server = open_sync(url, "relay-status")
    try:
        read = partial(_channels_with_streams, server, keys, processes)
        channels = run_sync(read, "HKEYS")
        masters = run_sync(partial(_masters, server), "HELLO")
    finally:
        server.close()
    return Overview(settings.prefix, processes, channels, server.deployment, masters)


def _masters(server: SyncRedis) -> Sequence[Mapping[str, str]]:
    return [_master(address) for address in server.masters()]


def _master(address: RedisAddress) -> Mapping[str, str]:
    with address.sync_client("relay-status") as client:
        said = read_hello(client)
    names = ("version", "role", "mode")
    return {"address": address.name, **{name: said.get(name, "unknown") for name in names}}


def started(process: Listed) -> datetime | None:
    """Returns when the process started, by the clock of its host."""
    milliseconds = process.report.started_ms
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _place(process: Listed) -> tuple[bool, str, int, str]:
    """Processes of an unknown host come last."""
    report = process.report
    return report.host is None, report.host or "", report.pid or 0, process.id


def _channels_with_streams(
    server: SyncRedis, keys: HubKeys, processes: Iterable[Listed]
) -> int | None:
    """Counts the fields of the presence of all processes; each is a channel, but for the empty one."""
    names: set[bytes | str] = {b""}
    for process in processes:
        try:
            names.update(server.client().hkeys(keys.presence + process.id))
        except redis.ResponseError:  # not allowed, or not a hash
            return None
    return len(names) - 1


def _process_as_json(process: Listed) -> dict[str, Any]:
    report, at, age = process.report, started(process), process.reported_ms_ago
    return {
        "id": process.id,
        "host": report.host,
        "pid": report.pid,
        "version": report.version,
        "state": report.state or "unknown",
        "started": None if at is None else at.isoformat(timespec="seconds"),
        "streams": report.streams,
        "channels": report.channels,
        "messages": report.messages,
        "messages_per_second": report.messages_per_second,
        "gaps": report.gaps,
        "reported_seconds_ago": None if age is None else round(age / 1000, 1),
    }
