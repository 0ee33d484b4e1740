"""What a client process is told, and what it reports."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Orders:
    """The task of a client process."""

    process: int
    """Its number, from 0. The streams of each process have source addresses of their own."""
    port: int
    """Of the hub, on 127.0.0.1."""
    streams: int
    streams_per_second: float
    """How fast they are opened at first, at the most."""

    def text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> "Orders":
        return cls(**json.loads(text))


class Order(StrEnum):
    """What comes later: a line with a word and a number."""

    REPORT = "report"
    """Answer with a report. The number is that of the messages published so far."""
    LEAVE = "leave"
    """A stream that ends is not to come back any more."""


@dataclass(slots=True)
class Report:
    """What has happened to some streams since their start. Reports of several processes add up."""

    open: int = 0
    """Streams that have an answer and no end of it."""
    opened: int = 0
    """How often a stream was answered with 200."""
    begun: int = 0
    """Streams that have an id, with which they can come back."""
    last_opened_at: float = 0.0
    """When the last one was answered (`time.monotonic`, which all processes share)."""
    ended: int = 0
    """How often the hub ended a stream properly, with its last chunk."""
    cut: int = 0
    """How often a stream ended without one."""
    failed: int = 0
    """How often a connection came to nothing before it was answered."""
    refused: int = 0
    """Answers other than 200."""
    lost: int = 0
    """Messages that were left out before a later one."""
    missing: int = 0
    """Messages that have not come yet."""
    doubled: int = 0
    disordered: int = 0
    """Messages whose id was not greater than the one before."""
    corrupt: int = 0
    gaps: int = 0
    received: dict[int, tuple[int, float]] = field(default_factory=dict)
    """For each message, how often it was received and when it was received last."""
    strange: dict[str, int] = field(default_factory=dict)
    """What went wrong, in words, and how often."""

    def faults(self) -> dict[str, int]:
        """Returns what must not happen, whatever becomes of a worker."""
        names = "lost", "missing", "doubled", "disordered", "corrupt", "gaps", "refused"
        return {name: getattr(self, name) for name in names}


def report_line(report: Report) -> bytes:
    return json.dumps(asdict(report)).encode() + b"\n"


def report_of(line: bytes) -> Report:
    said = json.loads(line)
    received = {int(n): (count, at) for n, (count, at) in said.pop("received").items()}
    return Report(**said, received=received)


def total(reports: Iterable[Report]) -> Report:
    whole = Report()
    for report in reports:
        for each in fields(Report):
            if each.name not in {"received", "strange", "last_opened_at"}:
                value = getattr(whole, each.name) + getattr(report, each.name)
                setattr(whole, each.name, value)
        whole.last_opened_at = max(whole.last_opened_at, report.last_opened_at)
        for number, (count, at) in report.received.items():
            before, last = whole.received.get(number, (0, 0.0))
            whole.received[number] = before + count, max(last, at)
        for words, times in report.strange.items():
            whole.strange[words] = whole.strange.get(words, 0) + times
    return whole
