"""How large the load is, and whether it fits into the limits of this machine."""

import math
import resource
from dataclasses import dataclass

from bench.errors import BenchError

SPARE_FILES = 64
"""Descriptors of a process beside its streams."""

SPREAD = 3.0
"""The kernel spreads connections by a hash: the greatest share is some standard deviations over the mean."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of a run."""

    streams: int = 100_000
    workers: int = 6
    clients: int = 6
    """Client processes."""
    streams_per_second: int = 4_000
    """How fast streams are opened at first, at the most: queues of connections have 4,096 places."""
    idle_seconds: float = 30.0
    """A multiple of the heartbeat's 15 s, so that each stream has the same number of them."""
    drain_seconds: float = 50.0
    """Over how long a worker that is replaced ends its streams."""
    every_seconds: float = 2.0
    """How often a message comes during the rolling restart: one to all takes two cores for a second."""
    messages: int = 3
    """How often one message is sent to all."""

    def shares(self) -> list[int]:
        """Returns the number of streams of each client process."""
        whole, more = divmod(self.streams, self.clients)
        return [whole + (number < more) for number in range(self.clients)]

    def most_of_a_worker(self) -> int:
        """Returns how many streams a worker must be able to hold: a share, and one of those of a dead one.

        Connections to the dead one wait for the next, as the parent keeps its socket.
        """
        mean = self.streams / self.workers * (1 + 1 / self.workers)
        return math.ceil(mean + SPREAD * math.sqrt(mean))

    def require_files(self) -> int:
        """Returns how many streams a process can hold. Raises BenchError if that is too few."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        room = 1_000_000 if hard == resource.RLIM_INFINITY else hard - SPARE_FILES
        for what, needed in (
            ("a worker", self.most_of_a_worker()),
            ("a client process", max(self.shares())),
        ):
            if needed > room:
                raise BenchError(
                    f"{what} needs {needed:,} streams and may open {hard:,} files:"
                    " use more processes, or raise the limit (ulimit -Hn)"
                )
        return room
