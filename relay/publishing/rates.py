"""How fast a subject may publish, counted for all processes together."""

import hashlib

from relay.broker.commands import Commands
from relay.broker.keys import HubKeys

BURST_SECONDS = 10
"""What was not used for so long may be used at once."""


async def take(
    commands: Commands, prefix: str, subject: str, per_second: int, number: int
) -> float:
    """Takes `number` tokens from the subject's bucket; returns 0, or how many seconds to wait.

    Takes nothing when there are too few. More than the bucket holds can never be had.
    Raises RedisUnavailable.
    """
    key = HubKeys(prefix).rate(hashlib.sha256(subject.encode()).hexdigest())
    arguments = [per_second, per_second * BURST_SECONDS, number]
    return float(await commands.script("rate_take", [key], arguments)) / 1_000_000
