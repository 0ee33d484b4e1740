"""Whether the rule of a channel admits a viewer."""

import logging
from collections.abc import Awaitable, Callable, Hashable
from inspect import isawaitable
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, iscoroutinefunction, sync_to_async
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.db import close_old_connections
from django.http import Http404
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from relay.access import threads, tokens
from relay.access.bearer import insufficient_scope, unauthenticated
from relay.access.identity import Viewer
from relay.access.log_fields import request_fields
from relay.access.problem import Problem
from relay.conf.catalogue import Rule, Target
from relay.types import Scope

logger = logging.getLogger("relay")

DENIALS = (PermissionDenied, Http404, ObjectDoesNotExist, ValueError, ValidationError)
"""What a site's function may raise to say no. A client can cause each of them with a name of its
choice, such as `order.abc` where a number is expected, so none leaves a traceback in the log."""


class RuleFailed(Exception):
    """A function of the site failed, or gave no answer that is valid. The log says so already."""


async def require(viewer: Viewer, target: Target, scope: Scope) -> None:
    """Raises Problem unless `viewer` may see the channel: 401 for nobody, 403 for somebody."""
    try:
        if await admits(viewer, target, scope):
            return
    except RuleFailed:
        pass
    if viewer.claims is not None:
        raise insufficient_scope(_("The token does not grant this channel."))
    if viewer.key:
        raise Problem(403, _("This user may not see this channel."))
    raise unauthenticated(_("Sign in to see this channel."))


async def admits(viewer: Viewer, target: Target, scope: Scope) -> bool:
    """Whether `viewer` may see the channel. Raises RuleFailed, which is a no."""
    rule = target.rule
    if rule == "public":
        return True
    if viewer.claims is not None:
        return tokens.grants(viewer.claims, "channels", target)
    return rule is not None and await _admits(rule, viewer, target, scope)


async def _admits(rule: Rule, viewer: Viewer, target: Target, scope: Scope) -> bool:
    if callable(rule):
        return await _ask(rule, viewer, target, scope)
    if rule == "signed-in":
        return bool(viewer.user.is_authenticated)
    if rule == "owner":
        return bool(viewer.key) and target.fields.get("user_id") == viewer.key
    if rule.startswith("perm:"):
        return await has_permission(viewer.user, rule.removeprefix("perm:"))
    return await _ask(rule, viewer, target, scope)


async def has_permission(user: Any, permission: str) -> bool:
    """Whether the user has the permission. Users of a model without permissions have none.

    Uses `has_perm` alone: a model of a site's own need not have the asynchronous one.
    """
    function = getattr(user, "has_perm", None)
    if function is None:
        return False
    return await _call("permission", function, permission) is True


async def _ask(rule: Rule, viewer: Viewer, target: Target, scope: Scope) -> bool:
    """Asks a site's own function. Only True admits. Raises RuleFailed if it fails or is missing."""
    pattern = target.spec.pattern
    try:
        function = import_string(rule) if isinstance(rule, str) else rule
        answer = await _answer(function, viewer, target, scope)
    except Exception:
        extra = _log_fields(viewer, target, scope)
        logger.exception(
            "The access rule of %s failed; nobody gets in by it.", pattern, extra=extra
        )
        raise RuleFailed from None
    if not isinstance(answer, bool):
        kind, extra = type(answer).__name__, _log_fields(viewer, target, scope)
        logger.error(
            "The access rule of %s returned %s; only True lets in.", pattern, kind, extra=extra
        )
        raise RuleFailed
    return answer


async def _answer(
    function: Callable[..., Any], viewer: Viewer, target: Target, scope: Scope
) -> object:
    """Returns what the function answers; False for a denial that it raises."""
    try:
        return await _call(function, function, viewer.user, target, scope)
    except DENIALS as denial:
        kind, extra = type(denial).__name__, _log_fields(viewer, target, scope)
        logger.debug(
            "The access rule of %s refused with %s.", target.spec.pattern, kind, extra=extra
        )
        return False


def _log_fields(viewer: Viewer, target: Target, scope: Scope) -> dict[str, object]:
    return {"channels": [target.name], "user": viewer.key, **request_fields(scope)}


async def _call(kind: object, function: Callable[..., Any], *arguments: object) -> object:
    """Calls a synchronous or asynchronous function of the site's."""
    if not _is_async(function):
        answer = await threads.run(_kind(kind), function, *arguments)
        return await _awaited(answer) if isawaitable(answer) else answer
    return await _awaited(function(*arguments))


def _is_async(function: Callable[..., Any]) -> bool:
    return iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__)


def _kind(kind: object) -> Hashable:
    """Returns what threads are kept by. A callable object need not have a hash."""
    return kind if isinstance(kind, Hashable) else id(kind)


async def _awaited(answer: Awaitable[object]) -> object:
    """Awaits the answer of an asynchronous rule; its queries have a thread of their own."""
    if SyncToAsync.thread_sensitive_context.get(None):
        return await answer
    async with ThreadSensitiveContext() as context:
        try:
            return await answer
        finally:
            if context in SyncToAsync.context_to_thread_executor:
                await sync_to_async(close_old_connections)()
