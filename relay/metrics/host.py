"""What all workers of a host say together."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class View(StrEnum):
    """What is asked of a worker, in the words of the link to it."""

    METRICS = "metrics"
    """A snapshot."""
    DETAILS = "details"
    """The same with its channels, for people."""


@dataclass(frozen=True, slots=True)
class Host:
    """The answers by the label of the worker: the number of its place, or `draining-PID`."""

    workers: Mapping[str, Any]
    silent: int = 0
    """Workers that did not answer in time."""
    deaths: int = 0
    """Workers that ended unasked and were replaced."""


Collect = Callable[[View], Awaitable[Host]]
