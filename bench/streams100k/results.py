"""What each step of a run has measured."""

from collections import Counter
from dataclasses import dataclass, field

from bench.streams100k.talk import Report

_WARNING = " WARNING "
_ERRORS = " ERROR ", " CRITICAL ", "Traceback"


def _is_error(line: str) -> bool:
    return any(word in line for word in _ERRORS)


@dataclass(frozen=True, slots=True)
class Opened:
    """All streams were opened."""

    seconds: float
    cpu_seconds: float
    """Of the hub."""
    empty_bytes: int
    full_bytes: int
    """Memory of the hub without streams, and with all of them."""
    kernel_bytes: int
    """By how much the kernel's small objects grew, which are the sockets of both sides."""
    client_bytes: int
    """Memory of the client processes."""
    fewest: int
    most: int
    """Sockets of the worker with the fewest, and of that with the most."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing was published for a while. Shares of a core."""

    seconds: float
    hub: float
    redis: float
    clients: float


@dataclass(frozen=True, slots=True)
class ToAll:
    """One message was sent to all."""

    seconds: float
    """Until the last stream had it."""
    cpu_seconds: float
    """Of the hub."""
    client_cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Killed:
    """A worker was killed."""

    streams: int
    """How many streams were cut by that."""
    seconds: float
    """Until all were back, and had the message that was published when the worker was dead."""
    most: int
    """Sockets of the worker with the most, afterwards."""


@dataclass(frozen=True, slots=True)
class Rolled:
    """All workers were replaced."""

    live_seconds: float
    """Until the new ones were live."""
    back_seconds: float
    """Until all streams were back."""
    seconds: float
    """Until the old ones had ended."""
    messages: int
    """Published meanwhile."""
    cut: int
    """Streams that were not ended properly."""
    full_bytes: int
    """Memory of the hub afterwards."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The hub was told to end."""

    seconds: float
    code: int
    ended: int
    """Streams that were ended properly."""
    cut: int


@dataclass(slots=True)
class Results:
    """Is filled step by step."""

    opened: Opened | None = None
    rest: Rest | None = None
    to_all: list[ToAll] = field(default_factory=list)
    killed: Killed | None = None
    rolled: Rolled | None = None
    ended: Ended | None = None
    published: int = 0
    report: Report = field(default_factory=Report)
    """What the clients counted up to the end."""
    log: str = ""
    """What the hub logged."""

    def errors(self) -> list[str]:
        """Returns the errors in the log, without the death of the worker that was killed."""
        lines = self.log.splitlines()
        found = [line for line in lines if _is_error(line)]
        return [line for line in found if "ended with code -9. Starting another." not in line]

    def warnings(self) -> list[str]:
        """Returns each warning in the log once, without its time, and how often it came."""
        found = [line.partition(_WARNING)[2] for line in self.log.splitlines() if _WARNING in line]
        return [f"{words} ({count} times)" for words, count in Counter(found).items()]

    def wrong(self, streams: int) -> list[str]:
        """Returns what was wrong, in words. The run was whole when there is nothing."""
        found = [f"{count:,} {name}" for name, count in self.report.faults().items() if count]
        if self.rolled is None or self.ended is None:
            found.append("the run did not come to its end")
        else:
            if self.rolled.cut:
                found.append(f"{self.rolled.cut:,} streams were cut by the rolling restart")
            if self.ended.code or self.ended.ended != streams:
                found.append(
                    f"the hub ended with {self.ended.code},"
                    f" and {self.ended.ended:,} of {streams:,} streams properly"
                )
        return [*found, *(f"the hub logged: {line}" for line in self.errors())]
