"""Access rules of a site, for the tests."""

import asyncio
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection

from relay.conf.catalogue import Target


def named_ann(user: Any, channel: Target, scope: Any) -> bool:
    return bool(user.is_authenticated and user.get_username() == "ann")


async def named_bob(user: Any, channel: Target, scope: Any) -> bool:
    await asyncio.sleep(0)
    return bool(user.is_authenticated and user.get_username() == "bob")


def broken(user: Any, channel: Target, scope: Any) -> bool:
    raise RuntimeError("a rule that fails")


def breaking(user: Any, channel: Target, scope: Any) -> bool:
    """Lets everybody in, and leaves a connection that has broken, as a restart of the database does."""
    found = User.objects.exists()
    connection.connection.close()
    return found


async def breaking_async(user: Any, channel: Target, scope: Any) -> bool:
    return await sync_to_async(breaking)(user, channel, scope)
