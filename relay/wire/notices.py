"""What the hub itself has to say on a stream, beside the messages: a gap, an oversize message."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from relay.wire.position import Position


class GapReason(StrEnum):
    """Why messages are missing; part of the protocol (docs/protocol.md)."""

    SLOW_CLIENT = "slow-client"
    """This client read too slowly, and what it had not read left the ring."""

    REDIS_LOST = "redis-lost"
    """The hub's subscription was interrupted, and no other hub process has what was published."""

    EXPIRED = "expired"
    """The client was away for longer than the history reaches back."""

    UNHEARD = "unheard"
    """While the client was away there was a time when no hub process was subscribed."""

    UNKNOWN_ID = "unknown-id"
    """The client's last event id is none that this hub gave, or one that it has yet to give."""

    HISTORY_UNAVAILABLE = "history-unavailable"
    """The history cannot be read, or is switched off."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages of `channel` between two positions that this stream will not get.

    `missed` is their exact number, or None where nobody can know it. `start` is None when the
    client's own position is unknown.
    """

    name: ClassVar[str] = "hub.gap"

    channel: str
    start: Position | None
    end: Position | None
    missed: int | None
    reason: GapReason

    def as_json(self) -> dict[str, object]:
        return {
            "channel": self.channel,
            "from": str(self.start) if self.start else None,
            "to": str(self.end) if self.end else None,
            "missed": self.missed,
            "reason": str(self.reason),
        }


@dataclass(frozen=True, slots=True)
class Oversize:
    """A message whose encoded form has more bytes than an event may have."""

    name: ClassVar[str] = "hub.oversize"

    channel: str
    position: Position
    size_bytes: int
    max_bytes: int

    def as_json(self) -> dict[str, object]:
        return {
            "channel": self.channel,
            "id": str(self.position),
            "bytes": self.size_bytes,
            "max_bytes": self.max_bytes,
        }
