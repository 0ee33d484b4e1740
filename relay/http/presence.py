"""`GET /presence/<channel>/`; docs/publishing.md is what it promises."""

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from relay import conf
from relay.access import tokens
from relay.access.grant import Authorize, Grant
from relay.access.problem import Problem
from relay.access.rules import has_permission
from relay.broker.keys import HubKeys
from relay.conf.catalogue import Target
from relay.control.presence import PresenceReader
from relay.http.query import require_channel
from relay.http.refusal import problems, redis_answers, require_method
from relay.http.visitor import Visitor, json_response
from relay.publishing.clients import commands


async def may_see(request: HttpRequest, target: Target) -> Grant:
    """Lets in those who may see the channel. The permission, or the claim, `presence` shows users."""
    visitor = Visitor.of(request)
    try:
        viewer = await visitor.see(target)
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
    with redis_answers():
        present = await _read(target.name, sees_users=grant.sees_users)
    return json_response(json.dumps({"channel": target.name} | present).encode())


async def _read(name: str, *, sees_users: bool) -> dict[str, Any]:
    """Raises RedisUnavailable."""
    reader = PresenceReader(await commands(), HubKeys(conf.load().prefix))
    if not sees_users:
        return {"count": await reader.count(name)}
    present = await reader.of(name)
    return {"count": present.count, "users": list(present.users)}
