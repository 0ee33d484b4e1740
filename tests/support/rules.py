"""Access rules of a site, for the tests."""

import asyncio
from typing import Any


def named_ann(user: Any, channel: str, scope: Any) -> bool:
    return bool(user.is_authenticated and user.get_username() == "ann")


async def named_bob(user: Any, channel: str, scope: Any) -> bool:
    await asyncio.sleep(0)
    return bool(user.is_authenticated and user.get_username() == "bob")


def broken(user: Any, channel: str, scope: Any) -> bool:
    raise RuntimeError("a rule that fails")
