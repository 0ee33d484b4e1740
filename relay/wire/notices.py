"""Notices of the hub on a stream, beside the messages: a gap, an oversize message."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from relay.wire.position import Position


class GapReason(StrEnum):
    """Why messages are missing; part of the protocol (docs/protocol.md)."""

    SLOW_CLIENT = "slow-client"
    """The client read too slowly, and messages it had not read were evicted from the ring."""

    REDIS_LOST = "redis-lost"
    """The hub's subscription was interrupted, and no other process wrote the missing messages."""

    EXPIRED = "expired"
    """The client's position is older than the history."""

    UNHEARD = "unheard"
    """For some time while the client was away, no hub process was subscribed."""

    UNKNOWN_ID = "unknown-id"
    """The hub never gave the client's last event id, or has not reached it yet."""

    RESET = "reset"
    """A stream in Redis was replaced, or has lost entries, so that what followed is not known."""

    HISTORY_UNAVAILABLE = "history-unavailable"
    """The history cannot be read, or is switched off."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages of `channel` between two positions that are not delivered on this stream.

    `missed` is their exact number, or None when it is unknown. `start` is None when the position of
    the client is unknown.
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
    """A message whose event would be larger than the limit."""

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
