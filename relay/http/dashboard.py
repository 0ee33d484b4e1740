"""The page that shows the messages live."""

from urllib.parse import urlsplit

from asgiref.sync import async_to_sync
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.views.decorators.http import require_safe

from relay import conf
from relay.http.publish import Rights


@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """A page open to everybody; a site that wants it for some wraps it, as any other view."""
    settings = conf.load()
    context = {
        "channel": settings.channel,
        "stream": get_script_prefix() + settings.stream_path,
        "channels": _address("relay-channels"),
        "history": _address("relay-history", "-"),
        "redis": _redis_cli(settings.redis_url),
        "may_publish": settings.http_publish and _may_publish(request),
        "publish": _address("relay-publish", "-") if settings.http_publish else "",
    }
    response = render(request, "relay/dashboard.html", context)
    response["Cache-Control"] = "no-cache"
    return response


def _address(name: str, *channel: str) -> str:
    """Returns the address of a view up to the name of a channel; nothing where the site lacks it."""
    try:
        return reverse(name, args=channel).removesuffix("-/")
    except NoReverseMatch:
        return ""


def _may_publish(request: HttpRequest) -> bool:
    """Whether this user may. Then the page gets the CSRF token that publishing asks of users."""
    try:
        return async_to_sync(Rights.of)(request).has_permission
    except DatabaseError:  # the page shows the stream, which needs no database
        return False


def _redis_cli(url: str) -> str:
    """Returns the command that reaches this Redis, without the address: it may hold a password."""
    at = urlsplit(url)
    is_default = at.hostname in ("127.0.0.1", "localhost", "::1") and at.port in (None, 6379)
    return "redis-cli" if is_default and at.scheme == "redis" else "redis-cli -u $REDIS_URL"
