"""How fast a subject may publish, counted for all processes together."""

import hashlib

from relay.broker.commands import Commands
from relay.broker.keys import HubKeys

BURST_SECONDS = 10
"""What a subject did not use in this time, it may use at once."""


async def take(
    commands: Commands, prefix: str, subject: str, per_second: int, number: int
) -> float:
    """Takes `number` tokens from the subject's bucket. Returns 0, or how many seconds to wait.

    Takes nothing when there are too few. A number above the bucket's size never succeeds.
    Raises RedisUnavailable.
    """
    key = HubKeys(prefix).rate(hashlib.sha256(subject.encode()).hexdigest())
    arguments = [per_second, per_second * BURST_SECONDS, number]
    return float(await commands.script("rate_take", [key], arguments)) / 1_000_000
