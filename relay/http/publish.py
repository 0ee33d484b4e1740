"""`POST /publish/<channel>/`; docs/publishing.md is what it promises."""

import logging
import math
import re
from collections.abc import Awaitable, Callable, Sequence

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.views.decorators.csrf import csrf_exempt

from relay import conf
from relay.access import tokens
from relay.access.problem import Problem
from relay.broker.commands import Commands
from relay.broker.errors import RedisUnavailable
from relay.conf.catalogue import Target
from relay.http.refusal import FORGED, refuse
from relay.publishing import rates
from relay.publishing.clients import aclient
from relay.publishing.messages import event_size, find
from relay.publishing.once import Published, once_key, publish_once
from relay.wire.envelope import unwrap

logger = logging.getLogger("relay")

BATCH = "application/x-ndjson"
ENVELOPE = "application/vnd.relay.envelope+json"

MAX_BATCH_BYTES = 8 * 1024 * 1024
MAX_BATCH_MESSAGES = 10_000
"""Redis does nothing else while it publishes a batch; so many take it some 10 ms."""

_IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{1,200}")

Authorize = Callable[[HttpRequest, Target], Awaitable[str]]
"""Who publishes: a name that limits and idempotency keys go by. Raises Problem for who may not."""


# -- who may


async def may_publish(request: HttpRequest, found: Target) -> str:
    """A bearer token whose `publish` lists the channel, or a user with the permission `relay.publish`.

    Tokens in cookies do not count, since the browser sends those for any page.
    """
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return _token_subject(token.strip(), found)
    user = await request.auser()
    if not user.is_authenticated:
        raise Problem(401, "A token or a signed-in user is needed.", _bearer())
    if not await sync_to_async(_is_own_page)(request):
        raise Problem(403, FORGED)
    if not await user.ahas_perm("relay.publish"):
        raise Problem(403, "This user may not publish (relay.publish).")
    return str(user.pk)


def _token_subject(token: str, found: Target) -> str:
    try:
        claims = tokens.decode(token)
    except tokens.TokenRefused as error:
        raise Problem(401, str(error), _bearer(' error="invalid_token"')) from None
    if not tokens.grants(claims, "publish", found):
        raise Problem(
            403,
            "The token does not grant publishing on this channel.",
            _bearer(' error="insufficient_scope"'),
        )
    return str(claims["sub"])


def _is_own_page(request: HttpRequest) -> bool:
    """Django's CSRF check, which a view exempt from it has to ask for."""
    return CsrfViewMiddleware(_guarded).process_view(request, _guarded, (), {}) is None


def _guarded(request: HttpRequest) -> HttpResponse:
    """Stands for a view that is not exempt."""
    return HttpResponse()


def _bearer(error: str = "") -> list[tuple[bytes, bytes]]:
    return [(b"WWW-Authenticate", f"Bearer{error}".encode())]


# -- publishing


@csrf_exempt  # a token needs none of it; for users `may_publish` checks
async def publish(
    request: HttpRequest, channel: str, authorize: Authorize = may_publish
) -> HttpResponse:
    """Answers {"published", "subscribers"}; refusals are problems (RFC 9457)."""
    try:
        published = await _publish(request, channel, authorize)
    except Problem as refusal:
        return refuse(refusal)
    except RedisUnavailable as error:
        return refuse(_unavailable(error))
    told = {"published": published.number, "subscribers": published.subscribers}
    response = JsonResponse(told, headers={"Cache-Control": "no-store"})
    if published.again:
        response["Idempotency-Replayed"] = "true"
    return response


async def _publish(request: HttpRequest, channel: str, authorize: Authorize) -> Published:
    settings = conf.load()
    if not settings.http_publish:
        raise Problem(404, "Publishing over HTTP is off (RELAY_HTTP_PUBLISH).")
    if request.method != "POST":
        raise Problem(405, "Messages are published with POST.", [(b"Allow", b"POST")])
    found = _channel(channel)
    # Read before CsrfViewMiddleware looks for a form in it; judged only when it is known whose it is.
    body = request.read(max(MAX_BATCH_BYTES, found.spec.event_bytes) + 1)
    subject = await authorize(request, found)
    key = _once(request, settings.prefix, subject, found)
    messages = _messages(request, found, body)
    client = await aclient()
    commands = Commands(lambda: client)
    await _within_rate(commands, subject, len(messages))
    return await publish_once(commands, found.name, messages, key)


def _channel(name: str) -> Target:
    try:
        return find(name)
    except ValueError:
        raise Problem(404, "There is no such channel.") from None


def _once(request: HttpRequest, prefix: str, subject: str, found: Target) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise Problem(400, "An Idempotency-Key has 1 to 200 printable ASCII characters.")
    return once_key(prefix, subject, found.name, key)


async def _within_rate(commands: Commands, subject: str, number: int) -> None:
    settings = conf.load()
    per_second = settings.publish_per_second
    if number > per_second * rates.BURST_SECONDS:
        raise Problem(413, f"A batch has up to {per_second * rates.BURST_SECONDS} messages.")
    wait_seconds = await rates.take(commands, settings.prefix, subject, per_second, number)
    if wait_seconds:
        after = str(math.ceil(wait_seconds)).encode()
        detail = f"Up to {per_second} messages a second (RELAY_PUBLISH_PER_SECOND)."
        raise Problem(429, detail, [(b"Retry-After", after)])


def _unavailable(error: RedisUnavailable) -> Problem:
    if error.refused:
        logger.error("A message could not be published: %s", error)
        return Problem(503, "Redis refused; nothing was published.", [(b"Retry-After", b"5")])
    detail = "Redis did not answer; whether anything was published is not known."
    return Problem(503, detail, [(b"Retry-After", b"1")])


# -- what the body holds


def _messages(request: HttpRequest, found: Target, body: bytes) -> Sequence[bytes]:
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(415, "A body is sent as it is, without Content-Encoding.")
    if request.content_type == BATCH:
        return _lines(found, body)
    _check_size(found, body, "The message")
    if request.content_type == ENVELOPE:
        _check_envelope(found, body)
    return [body]


def _lines(found: Target, body: bytes) -> Sequence[bytes]:
    if len(body) > MAX_BATCH_BYTES:
        raise Problem(413, f"A batch has up to {MAX_BATCH_BYTES} bytes.")
    lines = [line.removesuffix(b"\r") for line in body.split(b"\n")]
    messages = [line for line in lines if line.strip()]
    if not messages:
        raise Problem(400, "The batch has no message.")
    if len(messages) > MAX_BATCH_MESSAGES:
        raise Problem(413, f"A batch has up to {MAX_BATCH_MESSAGES} messages.")
    for number, line in enumerate(lines, start=1):
        _check_size(found, line, f"Line {number}")
    return messages


def _check_size(found: Target, message: bytes, what: str) -> None:
    if event_size(found, message) > found.spec.event_bytes:
        raise Problem(
            413, f"{what} is larger than an event may be ({found.spec.event_bytes} bytes)."
        )


def _check_envelope(found: Target, body: bytes) -> None:
    if not found.spec.envelope:
        raise Problem(415, "This channel has no named events (envelope in RELAY_CHANNELS).")
    if unwrap(body) is None:
        raise Problem(400, "This is no envelope: see docs/publishing.md.")
