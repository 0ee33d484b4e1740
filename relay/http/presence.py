"""`GET /presence/<channel>/`; docs/publishing.md is what it promises."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, JsonResponse

from relay.access import tokens
from relay.access.identity import identify
from relay.access.problem import Problem
from relay.access.rules import require
from relay.broker.errors import RedisUnavailable
from relay.conf.catalogue import Target
from relay.engine.lifespan import get_hub
from relay.http.query import parse_query
from relay.http.refusal import refuse

Allowed = Callable[[HttpRequest, Target], Awaitable[bool]]
"""Whether the users may be seen, too. Raises Problem for who may not even see the count."""


async def may_see(request: HttpRequest, found: Target) -> bool:
    """Who may see the channel; its users with the permission, or the claim, `presence`."""
    scope = cast(ASGIRequest, request).scope
    try:
        query = parse_query(scope["query_string"])
    except ValueError:
        raise Problem(400, "The query has too many fields.") from None
    try:
        viewer = await identify(dict(scope["headers"]), query)
    except Problem:
        if found.rule == "public":
            return False
        raise
    await require(viewer, found, scope)
    if viewer.claims is not None:
        return tokens.grants(viewer.claims, "presence", found)
    return bool(await viewer.user.ahas_perm("relay.presence"))


async def presence(request: HttpRequest, channel: str, allowed: Allowed = may_see) -> HttpResponse:
    """Answers {"channel", "count"} and, where they may be seen, {"users"}."""
    hub = get_hub()
    try:
        if request.method not in {"GET", "HEAD"}:
            raise Problem(405, "Presence is read with GET.", [(b"Allow", b"GET, HEAD")])
        found = hub.catalogue.find(channel)
        if found is None:
            raise Problem(404, "There is no such channel.")
        told: dict[str, Any] = {"channel": found.name}
        if await allowed(request, found):
            present = await hub.presence.of(found.name)
            told |= {"count": present.count, "users": list(present.users)}
        else:
            told["count"] = await hub.presence.count(found.name)
    except Problem as refusal:
        return refuse(refusal)
    except RedisUnavailable:
        return refuse(Problem(503, "Redis did not answer.", [(b"Retry-After", b"1")]))
    return JsonResponse(told, headers={"Cache-Control": "no-store"})
