"""What a request for a stream must pass, in this order: host, origin, method, type, channels, access.

Consumers are outside Django's middleware, so its checks are made here. A request that does not pass
raises Problem. Nothing is subscribed before everything has passed.
"""

import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings as django_settings
from django.http.request import split_domain_port, validate_host
from django.utils.translation import gettext_lazy as _

from relay.access.entrance import admitted
from relay.access.identity import Viewer
from relay.access.log_fields import request_fields
from relay.access.problem import Problem
from relay.conf import Settings
from relay.conf.catalogue import OPERATOR, Catalogue, Target
from relay.conf.proxies import client_address
from relay.engine.stream import NOBODY, Admission, Owner
from relay.feed.start import Start
from relay.http.answer import STREAM_HEADERS, Answer, TurnedAway
from relay.http.cors import allowing
from relay.http.operator_stream import find_targets, operator_viewer
from relay.http.query import Query, parse_latest, parse_query, parse_starts
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
    errors_as_events: bool
    """Whether it wants to read in the stream why it is sent away."""


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
        if _wants_errors_as_events(request):
            return Answer.refusal_event(problem, cors, settings.overload_retry_ms)
        raise problem.with_headers(cors) from None
    except Exception:
        logger.exception(
            "The client of a stream could not be identified; it is turned away.",
            extra=request_fields(scope),
        )
        reason = _("You cannot be identified now.")
        raise TurnedAway(
            reason,
            cors,
            names_event_streams=request.names_event_streams,
            as_event=_wants_errors_as_events(request),
        ) from None


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
    address = _address(request, settings)
    owner = NOBODY
    if viewer.key or address:
        owner = Owner(viewer.key, address, viewer.claims is not None)
    admission = Admission(wish.targets, wish.starts, wish.latest_seconds, owner, viewer.ends_at)
    return Admitted(admission, cors, request.names_event_streams, wish.errors_as_events)


def _wants_errors_as_events(request: StreamRequest) -> bool:
    """Whether an EventSource is to read why it is refused; it can read no status but 200."""
    try:
        return request.method == "GET" and _names_errors(parse_query(request.query_string))
    except ValueError:
        return False


def _names_errors(query: Query) -> bool:
    return query.get("errors") == ["stream"]


# -- the request


def _check_host(request: StreamRequest) -> None:
    """Raises Problem (400) for a host that is not served here.

    This is Django's rule (HttpRequest.get_host), without a Django request for every stream.
    """
    allowed = django_settings.ALLOWED_HOSTS or (LOCAL_HOSTS if django_settings.DEBUG else [])
    if not _is_allowed(_host(request), tuple(allowed)):
        raise Problem(400, _("This host is not served here (ALLOWED_HOSTS)."))


@lru_cache(64)
def _is_allowed(host: str, allowed: tuple[str, ...]) -> bool:
    domain, _port = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)


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
    return allowing(request.origin, host)


def _check_method_and_type(request: StreamRequest) -> None:
    """Raises Problem for a method that streams do not have, or a type that Accept excludes."""
    if request.method not in {"GET", "HEAD"}:
        raise Problem(405, _("A stream is read with GET."), [(b"Allow", METHODS)])
    if not _accepts_events(request.accept):
        raise Problem(406, _("A stream is text/event-stream, which Accept excludes."))


def _accepts_events(accept: str) -> bool:
    """Whether an Accept field lets text/event-stream through (RFC 9110, section 12.5.1)."""
    if accept == EVENT_STREAM or not accept.strip():
        return True
    best, quality = 0, 0.0
    for text in accept.split(","):
        kind, _semicolon, parameters = text.partition(";")
        specificity = _MATCHING.get(kind.strip().lower(), 0)
        if specificity > best:
            best, quality = specificity, _quality(parameters)
    return quality > 0


EVENT_STREAM = "text/event-stream"

_MATCHING = {"*/*": 1, "text/*": 2, EVENT_STREAM: 3}
"""The media ranges that match, by how specific they are."""


def _quality(parameters: str) -> float:
    """Returns `q` of a media range: 1 where there is none, 0 where it cannot be read."""
    for parameter in parameters.split(";"):
        name, _equals, value = parameter.partition("=")
        if name.strip().lower() == "q":
            return float(value) if _Q.fullmatch(value.strip()) else 0.0
    return 1.0


_Q = re.compile(r"[01](\.[0-9]{0,3})?")


# -- what it asks for, and who asks


@dataclass(frozen=True, slots=True)
class _Wish:
    targets: Sequence[Target]
    starts: Mapping[str, Start]
    latest_seconds: float | None
    query_token: str
    errors_as_events: bool


def _wish(request: StreamRequest, settings: Settings, catalogue: Catalogue) -> _Wish:
    """Raises Problem: 400 for what cannot be read, 404 for a channel that is not there."""
    try:
        query = parse_query(request.query_string)
        targets = find_targets(catalogue, query.get("channel") or [settings.channel])
        names = [target.name for target in targets]
        now_ms = time.time_ns() // 1_000_000
        starts = parse_starts(names, request.last_event_id, query, now_ms)
        token = query.get("token", [""])[0]
        return _Wish(targets, starts, parse_latest(query), token, _names_errors(query))
    except ValueError as error:
        raise Problem(400, error.args[0]) from None


async def _viewer(request: StreamRequest, wish: _Wish) -> Viewer:
    """Returns who asks, if that matters. Raises Problem unless the viewer may see every channel."""
    private = [target for target in wish.targets if target.rule != "public"]
    if not private:
        return Viewer(None)
    credentials = request.credentials(wish.query_token)
    if private[0].rule == OPERATOR:
        return await operator_viewer(request, credentials, _host(request))
    return await admitted(credentials, private, request.scope)


def _address(request: StreamRequest, settings: Settings) -> str:
    if not settings.max_streams_per_address and not settings.new_channels_per_address:
        return ""
    peer = (request.scope.get("client") or ("", 0))[0]
    return client_address(peer, request.forwarded_for, settings.trusted_proxies)
