"""`GET /presence/<channel>/`; docs/publishing.md is what it promises."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext_lazy as _

from relay import conf
from relay.access import tokens
from relay.access.entrance import admitted
from relay.access.grant import Authorize, Grant
from relay.access.problem import Problem
from relay.access.rules import has_permission
from relay.broker.errors import RedisUnavailable
from relay.broker.keys import HubKeys
from relay.conf.catalogue import Target
from relay.control.presence import PresenceReader
from relay.http.query import parse_query, require_channel
from relay.http.refusal import problems, require_method
from relay.http.request import StreamRequest, scope_of
from relay.publishing.clients import commands


async def may_see(request: HttpRequest, target: Target) -> Grant:
    """Lets in those who may see the channel. The permission, or the claim, `presence` shows users."""
    asked = StreamRequest.of(scope_of(request))
    try:
        query = parse_query(asked.query_string)
    except ValueError as error:
        raise Problem(400, error.args[0]) from None
    try:
        viewer = await admitted(
            asked.credentials(query.get("token", [""])[0]), [target], asked.scope
        )
    except Problem:
        if target.rule == "public":
            return Grant()
        raise
    if viewer.claims is not None:
        return Grant(viewer.subject, tokens.grants(viewer.claims, "presence", target))
    return Grant(viewer.subject, await has_permission(viewer.user, "relay.presence"))


@problems
async def presence(
    request: HttpRequest, channel: str, authorize: Authorize = may_see
) -> HttpResponse:
    """Answers {"channel", "count"} and, to those who may see them, {"users"}."""
    require_method(request, "GET, HEAD", _("Presence is read with GET."))
    target = require_channel(conf.load_catalogue(), channel)
    grant = await authorize(request, target)
    try:
        present = await _read(target.name, sees_users=grant.sees_users)
    except RedisUnavailable:
        raise Problem(503, _("Redis did not answer."), [(b"Retry-After", b"1")]) from None
    return JsonResponse({"channel": target.name} | present, headers={"Cache-Control": "no-store"})


async def _read(name: str, *, sees_users: bool) -> dict[str, Any]:
    """Raises RedisUnavailable."""
    reader = PresenceReader(await commands(), HubKeys(conf.load().prefix))
    if not sees_users:
        return {"count": await reader.count(name)}
    present = await reader.of(name)
    return {"count": present.count, "users": list(present.users)}
