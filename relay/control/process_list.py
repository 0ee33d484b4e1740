"""Reads the list of living hub processes, with their reports, for code without an event loop."""

from collections.abc import Sequence
from dataclasses import dataclass

from relay.broker.keys import HubKeys
from relay.broker.sync import run_script_sync
from relay.control.report import MAX_BYTES, MAX_MS, Report


@dataclass(frozen=True, slots=True)
class Listed:
    """A process in the list."""

    id: str
    report: Report
    reported_ms_ago: int | None
    """The age of the report, by the clock of Redis."""


def read_processes(url: str, keys: HubKeys) -> Sequence[Listed]:
    """Returns every process whose sign is valid. Raises RedisUnavailable."""
    arguments = [keys.reports, MAX_BYTES]
    now, *found = run_script_sync(url, "process_read", [keys.processes], arguments)
    pairs = zip(found[::2], found[1::2], strict=True)
    return [_listed(process, entry, int(now)) for process, entry in pairs]


def _listed(process: bytes, entry: bytes, now_ms: int) -> Listed:
    time, _, text = entry.partition(b" ")
    name = process.decode(errors="replace")
    if not time.isdigit() or len(time) > len(str(MAX_MS)):
        return Listed(name, Report(), None)
    return Listed(name, Report.decode(text), max(0, now_ms - int(time)))
