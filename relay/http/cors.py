"""What lets a page of another origin read an answer (Fetch standard, "CORS protocol")."""

from django.http import HttpRequest, HttpResponse

from relay import conf
from relay.conf.origins import is_own
from relay.types import Headers

PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, X-CSRFToken",
    "Access-Control-Max-Age": "600",
}
"""For the views. Streams have their own (admission.py)."""


def allowing(origin: str | None, host: str) -> Headers:
    """Returns the headers for a page of a listed origin; none for the server's own pages."""
    if origin is None or is_own(origin, host):
        return []
    if not conf.load().allowed_origins.lists(origin):
        return []
    return [
        (b"Access-Control-Allow-Origin", origin.encode("latin-1")),
        (b"Access-Control-Allow-Credentials", b"true"),
        (b"Access-Control-Expose-Headers", b"Idempotency-Replayed, Retry-After"),
        (b"Vary", b"Origin"),
    ]


def preflight(request: HttpRequest) -> HttpResponse | None:
    """Returns the answer to a preflight of a listed origin."""
    if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
        return None
    if not _headers(request):
        return None
    return HttpResponse(status=204, headers=PREFLIGHT)


def allow(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Returns the answer, readable for pages of listed origins."""
    for name, value in _headers(request):
        response[name.decode()] = value.decode("latin-1")
    return response


def _headers(request: HttpRequest) -> Headers:
    origin = request.headers.get("Origin")
    return allowing(origin, request.get_host()) if origin else []
