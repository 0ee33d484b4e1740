"""What a request for a stream must pass, in this order: host, origin, method, type, channels, access.

Consumers are outside Django's middleware, so its checks are made here. A request that does not pass
raises Problem. Nothing is subscribed before everything has passed.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from channels.db import aclose_old_connections
from django.conf import settings as django_settings
from django.http.request import MediaType, split_domain_port, validate_host
from django.utils.translation import gettext_lazy as _

from relay.access.identity import Credentials, Viewer, identify
from relay.access.problem import Problem
from relay.access.rules import require
from relay.conf import Settings
from relay.conf.catalogue import Catalogue, Target
from relay.conf.proxies import client_address
from relay.engine.stream import Admission, Owner
from relay.feed.start import Start
from relay.http.answer import STREAM_HEADERS, Answer, TurnedAway
from relay.http.query import find_channels, parse_latest, parse_query, parse_starts
from relay.http.request import StreamRequest
from relay.types import Headers, Scope

logger = logging.getLogger("relay")

METHODS = b"GET, HEAD, OPTIONS"

PREFLIGHT_HEADERS = [
    (b"Access-Control-Allow-Methods", b"GET"),
    (b"Access-Control-Allow-Headers", b"Authorization, Cache-Control, Last-Event-ID"),
    (b"Access-Control-Max-Age", b"600"),
]

LOCAL_HOSTS = [".localhost", "127.0.0.1", "[::1]"]
"""What Django allows in DEBUG when ALLOWED_HOSTS is empty (ref/settings, "ALLOWED_HOSTS")."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A client that may have a stream. `headers` go with its response."""

    admission: Admission
    headers: Headers
    names_event_streams: bool
    """Whether it comes from an EventSource."""


async def admit(scope: Scope, settings: Settings, catalogue: Catalogue) -> Admitted | Answer:
    """Admits the client to a stream, or answers OPTIONS and HEAD.

    Raises Problem for a refusal, TurnedAway when the client cannot be identified.
    """
    request = StreamRequest.of(scope)
    _check_host(request)
    cors = _cors_headers(request, settings)
    try:
        return await _admit(request, settings, catalogue, cors)
    except Problem as problem:
        raise problem.with_headers(cors) from None
    except Exception:
        logger.exception("The client of a stream could not be identified; it is turned away.")
        reason = _("You cannot be identified now.")
        raise TurnedAway(reason, cors, names_event_streams=request.names_event_streams) from None


async def _admit(
    request: StreamRequest, settings: Settings, catalogue: Catalogue, cors: Headers
) -> Admitted | Answer:
    if request.method == "OPTIONS":
        return Answer(204, [(b"Allow", METHODS), *PREFLIGHT_HEADERS, *cors])
    _check_method_and_type(request)
    wish = _wish(request, settings, catalogue)
    viewer = await _viewer(request, wish)
    if request.method == "HEAD":
        return Answer(200, [*STREAM_HEADERS, *cors])
    owner = Owner(viewer.key, _address(request, settings))
    admission = Admission(wish.targets, wish.starts, wish.latest_seconds, owner, viewer.ends_at)
    return Admitted(admission, cors, request.names_event_streams)


# -- the request


def _check_host(request: StreamRequest) -> None:
    """Raises Problem (400) for a host that is not served here.

    This is Django's rule (HttpRequest.get_host), without a Django request for every stream.
    """
    allowed = django_settings.ALLOWED_HOSTS or (LOCAL_HOSTS if django_settings.DEBUG else [])
    domain, _port = split_domain_port(_host(request))
    if not domain or not validate_host(domain, allowed):
        raise Problem(400, _("This host is not served here (ALLOWED_HOSTS)."))


def _host(request: StreamRequest) -> str:
    if django_settings.USE_X_FORWARDED_HOST and request.forwarded_host:
        return request.forwarded_host
    return request.host


def _cors_headers(request: StreamRequest, settings: Settings) -> Headers:
    """Returns the headers that let a page of another origin read the answer (Fetch, "CORS protocol").

    Raises Problem (403) for a page that may not.
    """
    if request.origin is None:
        return []
    host = _host(request)
    if not settings.allowed_origins.allows(request.origin, host):
        raise Problem(403, _("Pages of this origin may not read streams (RELAY_ALLOWED_ORIGINS)."))
    if urlsplit(request.origin).netloc == host.lower():
        return []
    return [
        (b"Access-Control-Allow-Origin", request.origin.encode("latin-1")),
        (b"Access-Control-Allow-Credentials", b"true"),
        (b"Vary", b"Origin"),
    ]


def _check_method_and_type(request: StreamRequest) -> None:
    """Raises Problem for a method that streams do not have, or a type that Accept excludes."""
    if request.method not in {"GET", "HEAD"}:
        raise Problem(405, _("A stream is read with GET."), [(b"Allow", METHODS)])
    if not _accepts_events(request.accept):
        raise Problem(406, _("A stream is text/event-stream, which Accept excludes."))


def _accepts_events(accept: str) -> bool:
    """Whether an Accept field lets text/event-stream through (RFC 9110, section 12.5.1)."""
    if not accept.strip():
        return True
    try:
        ranges = [MediaType(text) for text in accept.split(",") if text.strip()]
    except ValueError:  # parameters that Django cannot read
        return False
    matching = [r for r in ranges if r.match("text/event-stream")]
    return bool(matching) and max(matching, key=lambda r: r.specificity).quality > 0


# -- what it asks for, and who asks


@dataclass(frozen=True, slots=True)
class _Wish:
    targets: Sequence[Target]
    starts: Mapping[str, Start]
    latest_seconds: float | None
    query_token: str


def _wish(request: StreamRequest, settings: Settings, catalogue: Catalogue) -> _Wish:
    """Raises Problem: 400 for what cannot be read, 404 for a channel that is not there."""
    try:
        query = parse_query(request.query_string)
        targets = find_channels(catalogue, query.get("channel") or [settings.channel])
        names = [target.name for target in targets]
        now_ms = time.time_ns() // 1_000_000
        starts = parse_starts(names, request.last_event_id, query, now_ms)
        return _Wish(targets, starts, parse_latest(query), query.get("token", [""])[0])
    except ValueError as error:
        raise Problem(400, error.args[0]) from None


async def _viewer(request: StreamRequest, wish: _Wish) -> Viewer:
    """Returns who asks, if that matters. Raises Problem unless the viewer may see every channel."""
    if all(target.rule == "public" for target in wish.targets):
        return Viewer(None)
    credentials = request.credentials(wish.query_token)
    if credentials.token is not None:
        return await _permitted(credentials, request, wish)
    # Django closes connections that broke or are too old around its own requests only.
    await aclose_old_connections()
    try:
        return await _permitted(credentials, request, wish)
    finally:
        await aclose_old_connections()


async def _permitted(credentials: Credentials, request: StreamRequest, wish: _Wish) -> Viewer:
    viewer = await identify(credentials)
    for target in wish.targets:
        await require(viewer, target, request.scope)
    return viewer


def _address(request: StreamRequest, settings: Settings) -> str:
    if not settings.max_streams_per_address:
        return ""
    peer = (request.scope.get("client") or ("", 0))[0]
    return client_address(peer, request.forwarded_for, settings.trusted_proxies)
