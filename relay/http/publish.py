"""`POST /publish/<channel>/`; docs/publishing.md is what it promises."""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from relay import conf
from relay.access import tokens
from relay.access.bearer import bearer, claims_of, insufficient_scope, unauthenticated
from relay.access.grant import Authorize, Grant
from relay.access.identity import subject_of, user_of
from relay.access.log_fields import request_fields
from relay.access.problem import Problem
from relay.access.rules import has_permission
from relay.broker.errors import RedisUnavailable
from relay.conf.catalogue import Target
from relay.http.own_page import require_own_page
from relay.http.query import require_channel
from relay.http.refusal import problems, require_method
from relay.http.request import scope_of
from relay.publishing.messages import fits
from relay.publishing.once import Outgoing, Published, once_key
from relay.publishing.outlet import outlet
from relay.publishing.rates import BURST_SECONDS
from relay.wire.envelope import unwrap

logger = logging.getLogger("relay")

BATCH = "application/x-ndjson"
ENVELOPE = "application/vnd.relay.envelope+json"

MAX_BATCH_BYTES = 8 * 1024 * 1024
MAX_BATCH_MESSAGES = 10_000
"""Redis does nothing else while it publishes a batch; so many take it some 10 ms."""

_IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{1,200}")


# -- who may


async def may_publish(request: HttpRequest, target: Target) -> Grant:
    """Lets in a bearer token whose `publish` lists the channel, and users with `relay.publish`.

    Tokens in cookies do not count, because a browser sends those for any page.
    """
    token = bearer(request.headers.get("Authorization", ""))
    if token is not None:
        claims = claims_of(token)
        if not tokens.grants(claims, "publish", target):
            raise insufficient_scope(_("The token does not grant publishing on this channel."))
        return Grant(subject_of(claims["sub"], by_token=True))
    user = await user_of(request)
    if not user.is_authenticated:
        raise unauthenticated(_("A token or a signed-in user is needed."))
    await require_own_page(request)
    if not await has_permission(user, "relay.publish"):
        raise Problem(403, _("This user may not publish (relay.publish)."))
    return Grant(subject_of(str(user.pk), by_token=False))


@dataclass(frozen=True, slots=True)
class Rights:
    """What the sender of a request may publish, by the rules of `may_publish` but for the CSRF token."""

    claims: Mapping[str, Any] | None = None
    has_permission: bool = False

    @classmethod
    async def of(cls, request: HttpRequest) -> "Rights":
        """Raises Problem (401) for a bearer token that is not valid."""
        if not conf.load().http_publish:
            return cls()
        token = bearer(request.headers.get("Authorization", ""))
        if token is not None:
            return cls(claims_of(token))
        return cls(None, await has_permission(await user_of(request), "relay.publish"))

    def cover(self, target: Target) -> bool:
        """Whether they cover the channel. Nobody publishes on a pattern."""
        if target.is_wildcard:
            return False
        if self.claims is not None:
            return tokens.grants(self.claims, "publish", target)
        return self.has_permission


# -- publishing


@csrf_exempt  # a token needs no CSRF token; `may_publish` checks those of users
@problems
async def publish(
    request: HttpRequest, channel: str, authorize: Authorize = may_publish
) -> HttpResponse:
    """Answers {"published", "subscribers"}; refusals are problems (RFC 9457)."""
    if not conf.load().http_publish:
        raise Problem(404, _("Publishing over HTTP is off (RELAY_HTTP_PUBLISH)."))
    require_method(request, "POST", _("Messages are published with POST."))
    target = _channel(channel)
    # Read before CsrfViewMiddleware looks for a form in it; judged only when its sender is known.
    body = request.read(max(MAX_BATCH_BYTES, target.spec.event_bytes) + 1)
    subject = (await authorize(request, target)).subject
    once = _once(request, subject, target)
    try:
        published = await _send(
            Outgoing(target.name, _messages(request, target, body), once), subject
        )
    except RedisUnavailable as error:
        raise _unavailable(error, request, target) from None
    return _response(published)


def _response(published: Published) -> HttpResponse:
    body = {"published": published.number, "subscribers": published.subscribers}
    response = JsonResponse(body, headers={"Cache-Control": "no-store"})
    if published.again:
        response["Idempotency-Replayed"] = "true"
    return response


def _channel(name: str) -> Target:
    target = require_channel(conf.load_catalogue(), name)
    if target.is_wildcard:
        raise Problem(404, _("There is no such channel."))
    return target


def _once(request: HttpRequest, subject: str, target: Target) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise Problem(400, _("An Idempotency-Key has 1 to 200 printable ASCII characters."))
    return once_key(conf.load().prefix, subject, target.name, key)


async def _send(outgoing: Outgoing, subject: str) -> Published:
    """Raises Problem for more than the rate allows, RedisUnavailable when Redis fails."""
    per_second = conf.load().publish_per_second
    number = len(outgoing.messages)
    if number > per_second * BURST_SECONDS:
        raise _too_many(per_second * BURST_SECONDS)
    wait_seconds = await outlet().take(subject, per_second, number)
    if wait_seconds:
        after = str(math.ceil(wait_seconds)).encode()
        text = _("Up to %(limit)d messages a second (RELAY_PUBLISH_PER_SECOND).")
        raise Problem(429, text % {"limit": per_second}, [(b"Retry-After", after)])
    return await outlet().asend(outgoing)


def _too_many(limit: int) -> Problem:
    return Problem(413, _("A batch has up to %(limit)d messages.") % {"limit": limit})


def _unavailable(error: RedisUnavailable, request: HttpRequest, target: Target) -> Problem:
    if error.refused:
        extra = {"channels": [target.name], **request_fields(scope_of(request))}
        logger.error("A message could not be published: %s", error, extra=extra)
        return Problem(503, _("Redis refused; nothing was published."), [(b"Retry-After", b"5")])
    detail = _("Redis did not answer; whether anything was published is not known.")
    return Problem(503, detail, [(b"Retry-After", b"1")])


# -- what the body holds


def _messages(request: HttpRequest, target: Target, body: bytes) -> Sequence[bytes]:
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(415, _("A body is sent as it is, without Content-Encoding."))
    if request.content_type == BATCH:
        return _lines(target, body)
    if not fits(target, body):
        text = _("The message is larger than an event may be (%(limit)d bytes).")
        raise Problem(413, text % {"limit": target.spec.event_bytes})
    if request.content_type == ENVELOPE:
        _check_envelope(target, body)
    return [body]


def _lines(target: Target, body: bytes) -> Sequence[bytes]:
    if len(body) > MAX_BATCH_BYTES:
        text = _("A batch has up to %(limit)d bytes.")
        raise Problem(413, text % {"limit": MAX_BATCH_BYTES})
    lines = [line.removesuffix(b"\r") for line in body.split(b"\n")]
    messages = [line for line in lines if line.strip()]
    if not messages:
        raise Problem(400, _("The batch has no message."))
    if len(messages) > MAX_BATCH_MESSAGES:
        raise _too_many(MAX_BATCH_MESSAGES)
    for number, line in enumerate(lines, start=1):
        if not fits(target, line):
            text = _("Line %(number)d is larger than an event may be (%(limit)d bytes).")
            raise Problem(413, text % {"number": number, "limit": target.spec.event_bytes})
    return messages


def _check_envelope(target: Target, body: bytes) -> None:
    if not target.spec.envelope:
        raise Problem(415, _("This channel has no named events (envelope in RELAY_CHANNELS)."))
    if unwrap(body) is None:
        raise Problem(400, _("This is no envelope: see docs/publishing.md."))
