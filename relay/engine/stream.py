"""An open stream, its owner, and the admission it was opened with."""

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from relay.conf.catalogue import OPERATOR, Target
from relay.engine.delivery import Delivery
from relay.feed.start import Start
from relay.feed.subscriber import Subscriber

logs_streams = partial(logging.getLogger("relay").isEnabledFor, logging.DEBUG)
"""Whether the log has the lines about streams that open and end."""

JITTER = 0.5, 1.5


def jitter(milliseconds: int) -> int:
    """Returns 0.5 to 1.5 times as much, so that clients do not reconnect all at once."""
    return round(milliseconds * random.uniform(*JITTER))


def longest(milliseconds: int) -> float:
    """Returns the most that `jitter` makes of it."""
    return milliseconds * max(JITTER)


class Refusal(StrEnum):
    """Why a stream was not opened although its client may have it; a label of `/metrics`."""

    STREAMS = "streams"
    """RELAY_MAX_STREAMS are open."""
    OWNER = "owner"
    """The user, token or address has all the streams that it may have."""
    CHANNELS = "channels"
    """RELAY_MAX_CHANNELS are open."""
    NEW_CHANNELS = "new-channels"
    """Too many channels of patterns were new within a minute."""
    STOPPING = "stopping"
    """The process drains or stops."""
    UNIDENTIFIED = "unidentified"
    """The database failed, or a function of the site: it is not known who the client is."""


class Full(Exception):
    """There is no room for another stream. The message names the limit that was reached."""

    def __init__(self, text: str, reason: Refusal = Refusal.STREAMS) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a stream. An unknown user or address is empty."""

    user: str = ""
    """The id of a user, or the subject of a token."""
    address: str = ""
    by_token: bool = False
    """Whether `user` is a token's subject: for limits that is somebody else than the user."""


NOBODY = Owner()
"""Shared by all streams whose owner does not matter."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A stream that may be opened. It ends at `ends_at` (Unix time) at the latest."""

    targets: Sequence[Target]
    starts: Mapping[str, Start]
    latest_seconds: float | None = None
    owner: Owner = NOBODY
    ends_at: float | None = None

    @property
    def is_operators(self) -> bool:
        """Whether it is for the operator's page, for which a full process has room as well."""
        return self.targets[0].rule == OPERATOR


@dataclass(slots=True, eq=False)
class Stream:
    """An open stream: the delivery that it joined, and its subscriber there."""

    delivery: Delivery
    subscriber: Subscriber
    names: tuple[str, ...]
    """The channels and patterns that it has."""
    owner: Owner
    number: int
    """Of numbers.py."""

    @property
    def id(self) -> str:
        """Its name in the log, for kicks and on the operator's page; no other stream has it."""
        return f"{self.number:x}"

    def log_fields(self) -> dict[str, object]:
        """Returns what a line about this stream carries beside its text."""
        return self.subscriber.log_fields()
