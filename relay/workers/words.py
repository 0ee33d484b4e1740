"""What a parent and a worker tell each other: lines of JSON over a pair of Unix sockets."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from relay.metrics.host import View


class Word(StrEnum):
    """`READY` and `BEAT` come from a worker, the others from its parent.

    Either of `DRAIN` and `CLOSE` comes once. Before and after it the parent may ask for a View.
    """

    READY = "ready"
    """Its hub is live."""
    BEAT = "beat"
    """Its event loop turns."""
    DRAIN = "drain"
    """Accept no more, end the streams little by little, then end. Another worker has the socket too."""
    CLOSE = "close"
    """The same, but no other worker has the socket."""


BEAT_SECONDS = 1.0

MAX_LINE_BYTES = 1024 * 1024
"""The longest line, either way."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is told first. Secret, for the URL may hold a password."""

    redis_url: str
    """The Redis that the parent has embedded; empty where the settings name one."""

    def line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def of(cls, line: bytes) -> "Orders":
        return cls(**json.loads(line))


class Answer(NamedTuple):
    """What a worker says of itself when it is asked for a view."""

    view: View
    said: Any

    def line(self) -> bytes:
        return json.dumps({self.view: self.said}).encode() + b"\n"


def line_of(word: Word | View) -> bytes:
    return json.dumps(word).encode() + b"\n"


def order_of(line: bytes) -> Word | View:
    """Reads a line of a parent. Raises ValueError."""
    said = json.loads(line)
    return View(said) if said in list(View) else Word(said)


def report_of(line: bytes) -> Word | Answer:
    """Reads a line of a worker. Raises ValueError."""
    said = json.loads(line)
    if isinstance(said, dict):
        [(view, value)] = said.items()
        return Answer(View(view), value)
    return Word(said)
