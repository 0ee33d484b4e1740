"""An open stream, and whose it is."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relay.conf.catalogue import Target
from relay.engine.channel import Channel
from relay.engine.group import Group
from relay.feed.fanout import Subscriber
from relay.feed.start import Start


def jitter(milliseconds: int) -> int:
    """Half to one and a half times as much, so that clients do not come back all at once."""
    return round(milliseconds * random.uniform(0.5, 1.5))


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose stream it is; empty where that is not known."""

    user: str = ""
    """A user's id, or a token's subject."""
    address: str = ""


NOBODY = Owner()


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """An open stream: what it gets, and the subscriber that brings it there."""

    of: Channel | Group
    subscriber: Subscriber
    names: tuple[str, ...]
    """The channels, or patterns, that it has."""
    owner: Owner


@dataclass(frozen=True, slots=True)
class Admission:
    """A stream that may be opened; it ends at `ends_at` (Unix time) at the latest."""

    founds: Sequence[Target]
    starts: Mapping[str, Start]
    latest_seconds: float | None
    owner: Owner
    ends_at: float | None
