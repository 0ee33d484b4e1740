"""Access rules of a site, for the tests."""

import asyncio
from typing import Any

from relay.conf.catalogue import Target


def named_ann(user: Any, channel: Target, scope: Any) -> bool:
    return bool(user.is_authenticated and user.get_username() == "ann")


async def named_bob(user: Any, channel: Target, scope: Any) -> bool:
    await asyncio.sleep(0)
    return bool(user.is_authenticated and user.get_username() == "bob")


def broken(user: Any, channel: Target, scope: Any) -> bool:
    raise RuntimeError("a rule that fails")
