"""What a request for a stream must pass, in this order: host, origin, method, type, channels, access.

Consumers sit outside Django's middleware, so its checks are made here. Whatever does not pass is a
Problem; nothing is subscribed before all has passed.
"""

import time
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.http.request import MediaType, split_domain_port, validate_host

from relay.access.identity import Viewer, identify
from relay.access.problem import Problem
from relay.access.rules import require
from relay.conf import Settings
from relay.conf.catalogue import Catalogue
from relay.conf.proxies import client_address
from relay.engine.stream import Admission, Owner
from relay.http.query import find_channels, parse_latest, parse_query, parse_starts
from relay.types import Headers, Scope

METHODS = b"GET, HEAD, OPTIONS"

PREFLIGHT_HEADERS = [
    (b"Access-Control-Allow-Methods", b"GET"),
    (b"Access-Control-Allow-Headers", b"Authorization, Cache-Control, Last-Event-ID"),
    (b"Access-Control-Max-Age", b"600"),
]

LOCAL_HOSTS = [".localhost", "127.0.0.1", "[::1]"]
"""What Django allows in DEBUG when ALLOWED_HOSTS is empty (ref/settings, "ALLOWED_HOSTS")."""


def check_host(scope: Scope, headers: Headers) -> str:
    """The host that the client named. Raises Problem (400) for one that is not served here.

    Django's rule (HttpRequest.get_host), without making a Django request of every stream.
    """
    name = b"x-forwarded-host" if django_settings.USE_X_FORWARDED_HOST else b"host"
    raw = headers.get(name, headers.get(b"host"))
    host = raw.decode("latin-1") if raw is not None else (scope.get("server") or ("", None))[0]
    allowed = django_settings.ALLOWED_HOSTS or (LOCAL_HOSTS if django_settings.DEBUG else [])
    domain, _ = split_domain_port(host)
    if not domain or not validate_host(domain, allowed):
        raise Problem(400, "This host is not served here (ALLOWED_HOSTS).")
    return str(host)


def check_origin(settings: Settings, host: str, headers: Headers) -> list[tuple[bytes, bytes]]:
    """The headers that let a page of another origin read the answer (Fetch, "CORS protocol").

    Raises Problem (403) for a page that may not.
    """
    raw = headers.get(b"origin")
    if raw is None:
        return []
    origin = raw.decode("latin-1")
    if not settings.allowed_origins.allows(origin, host):
        raise Problem(403, "Pages of this origin may not read streams (RELAY_ALLOWED_ORIGINS).")
    if urlsplit(origin).netloc == host.lower():
        return []
    return [
        (b"Access-Control-Allow-Origin", raw),
        (b"Access-Control-Allow-Credentials", b"true"),
        (b"Vary", b"Origin"),
    ]


def check_request(scope: Scope, headers: Headers) -> None:
    """Raises Problem for a method that is none of a stream's, or a type that Accept excludes."""
    if scope["method"] not in {"GET", "HEAD"}:
        raise Problem(405, "A stream is read with GET.", [(b"Allow", METHODS)])
    if not _accepts_events(headers.get(b"accept", b"")):
        raise Problem(406, "A stream is text/event-stream, which Accept excludes.")


async def admit(
    settings: Settings, catalogue: Catalogue, scope: Scope, headers: Headers
) -> Admission:
    """What the client may have of what it asks for. Raises Problem: 400, 401, 403 or 404."""
    try:
        query = parse_query(scope.get("query_string", b""))
        targets = find_channels(catalogue, query.get("channel") or [settings.channel])
        names = [target.name for target in targets]
        now_ms = time.time_ns() // 1_000_000
        starts = parse_starts(names, headers.get(b"last-event-id"), query, now_ms)
        latest = parse_latest(query)
    except LookupError as error:
        raise Problem(404, error.args[0]) from None
    except ValueError as error:
        raise Problem(400, str(error)) from None
    viewer = Viewer(None)
    if any(target.rule != "public" for target in targets):
        viewer = await identify(headers, query)
        for target in targets:
            await require(viewer, target, scope)
    owner = Owner(viewer.key, _address(settings, scope))
    return Admission(targets, starts, latest, owner, viewer.ends_at)


def _address(settings: Settings, scope: Scope) -> str:
    if not settings.max_streams_per_address:
        return ""
    peer = (scope.get("client") or ("", 0))[0]
    lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    forwarded_for = b",".join(lines).decode("latin-1")
    return client_address(peer, forwarded_for, settings.trusted_proxies)


def _accepts_events(accept: bytes) -> bool:
    """Whether an Accept header lets text/event-stream through (RFC 9110, section 12.5.1)."""
    if not accept.strip():
        return True
    try:
        ranges = [MediaType(text) for text in accept.decode("latin-1").split(",") if text.strip()]
    except ValueError:  # parameters that Django cannot read
        return False
    matching = [r for r in ranges if r.match("text/event-stream")]
    return bool(matching) and max(matching, key=lambda r: r.specificity).quality > 0
