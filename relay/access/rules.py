"""Whether the rule of a channel lets a viewer in."""

import inspect
import logging
from collections.abc import Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django.utils.module_loading import import_string

from relay.access import tokens
from relay.access.identity import Viewer
from relay.access.problem import Problem
from relay.conf.catalogue import Rule, Target

logger = logging.getLogger("relay")


async def require(viewer: Viewer, found: Target, scope: Mapping[str, Any]) -> None:
    """Raises Problem unless `viewer` may see the channel: 401 for nobody, 403 for somebody."""
    rule = found.rule
    if rule == "public":
        return
    if viewer.claims is not None:
        if tokens.grants(viewer.claims, "channels", found):
            return
        raise Problem(403, "The token does not grant this channel.")
    if rule is not None and await _allows(rule, viewer, found, scope):
        return
    if viewer.key:
        raise Problem(403, "This user may not see this channel.")
    raise Problem(401, "Sign in to see this channel.", [(b"WWW-Authenticate", b"Bearer")])


async def _allows(rule: Rule, viewer: Viewer, found: Target, scope: Mapping[str, Any]) -> bool:
    if callable(rule):
        return await _call(rule, viewer, found, scope)
    if rule == "signed-in":
        return bool(viewer.user.is_authenticated)
    if rule == "owner":
        return bool(viewer.key) and found.fields.get("user_id") == viewer.key
    if rule.startswith("perm:"):
        return bool(await viewer.user.ahas_perm(rule.removeprefix("perm:")))
    return await _call(rule, viewer, found, scope)


async def _call(rule: Rule, viewer: Viewer, found: Target, scope: Mapping[str, Any]) -> bool:
    """Asks a site's own function; one that fails, or is not there, refuses."""
    try:
        ask = import_string(rule) if isinstance(rule, str) else rule
        if inspect.iscoroutinefunction(ask):
            return bool(await ask(viewer.user, found.name, scope))
        return bool(await sync_to_async(ask)(viewer.user, found.name, scope))
    except Exception:
        logger.exception("The access rule of %s failed; nobody gets in by it.", found.spec.pattern)
        return False
