"""What the hub itself has to say on a stream, beside the messages: a gap, an oversize message."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class GapReason(StrEnum):
    """Why messages are missing; part of the protocol (docs/protocol.md)."""

    SLOW_CLIENT = "slow-client"
    """This client read too slowly, and what it had not read left the ring."""

    REDIS_LOST = "redis-lost"
    """The hub's subscription was interrupted; Redis keeps nothing for an absent subscriber."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages of `channel` between two positions that this stream will not get.

    `missed` is their exact number, or None where nobody can know it.
    """

    name: ClassVar[str] = "hub.gap"

    channel: str
    missed: int | None
    reason: GapReason

    def as_json(self) -> dict[str, object]:
        return {
            "channel": self.channel,
            "from": None,
            "to": None,
            "missed": self.missed,
            "reason": str(self.reason),
        }


@dataclass(frozen=True, slots=True)
class Oversize:
    """A message whose encoded form has more bytes than an event may have."""

    name: ClassVar[str] = "hub.oversize"

    channel: str
    size_bytes: int
    max_bytes: int

    def as_json(self) -> dict[str, object]:
        return {
            "channel": self.channel,
            "id": None,
            "bytes": self.size_bytes,
            "max_bytes": self.max_bytes,
        }
