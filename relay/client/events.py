"""What a stream brings."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a channel. `id` is the place after it; `channel` is empty where none was asked for.

    `event` is the name of a named event, else "message".
    """

    channel: str
    id: str
    data: str
    event: str = "message"

    def json(self) -> Any:
        """Returns the data as JSON. Raises ValueError where it is none."""
        return json.loads(self.data)


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages of `channel` between two positions are missing.

    `missed` is their exact number, or None where it cannot be known. `reason` is one of those in
    docs/protocol.md; a later hub may have more.
    """

    channel: str
    id: str
    start: str | None
    end: str | None
    missed: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Oversize:
    """A message that is larger than the hub sends."""

    channel: str
    id: str
    size_bytes: int
    max_bytes: int


Event = Message | Gap | Oversize
