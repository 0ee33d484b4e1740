"""An access rule for the tests of kicks."""

import asyncio
from typing import Any

from relay.conf.catalogue import Target


async def slowly(user: Any, channel: Target, scope: Any) -> bool:
    """Takes its time to let everybody in."""
    await asyncio.sleep(1.0)
    return True
