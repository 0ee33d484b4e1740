"""The objects that all parts of one hub process share."""

from dataclasses import dataclass

from relay.broker.broker import Broker
from relay.broker.link import Link
from relay.clock import Clock
from relay.conf import Settings
from relay.feed.backpressure import Backpressure
from relay.feed.laggards import Laggards
from relay.stats import Stats


@dataclass(frozen=True, slots=True)
class Context:
    """Passed to every part at construction."""

    settings: Settings
    broker: Broker
    link: Link
    clock: Clock
    stats: Stats
    backpressure: Backpressure
    laggards: Laggards
