"""An open stream, whose it is, and what a client was admitted to."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relay.conf.catalogue import Target
from relay.engine.delivery import Delivery
from relay.feed.start import Start
from relay.feed.subscriber import Subscriber


def jitter(milliseconds: int) -> int:
    """Half to one and a half times as much, so that clients do not come back all at once."""
    return round(milliseconds * random.uniform(0.5, 1.5))


class Full(Exception):
    """There is no room for another stream; the message says of what there are too many."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose stream it is; empty where that is not known."""

    user: str = ""
    """A user's id, or a token's subject."""
    address: str = ""
    by_token: bool = False
    """Whether `user` is a token's subject: for limits that is somebody else than the user."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A stream that may be opened; it ends at `ends_at` (Unix time) at the latest."""

    targets: Sequence[Target]
    starts: Mapping[str, Start]
    latest_seconds: float | None = None
    owner: Owner = Owner()
    ends_at: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """What it gets, and the subscriber that delivers it."""

    delivery: Delivery
    subscriber: Subscriber
    names: tuple[str, ...]
    """The channels, or patterns, that it has."""
    owner: Owner
