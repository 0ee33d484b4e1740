"""The page that shows the messages live."""

from collections.abc import Sequence

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.views.decorators.http import require_safe

from relay import conf


@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """A page open to everybody; a site that wants it for some wraps it, as any other view."""
    settings = conf.load()
    context = {
        "channel": settings.channel,
        "stream": get_script_prefix() + settings.stream_path,
        "channels": _path("relay-channels"),
        "history": _path("relay-history", ["-"]).removesuffix("-/"),
    }
    response = render(request, "relay/dashboard.html", context)
    response["Cache-Control"] = "no-cache"
    return response


def _path(name: str, arguments: Sequence[str] = ()) -> str:
    """Returns the path of a view of relay.urls; empty where the site does not route them."""
    try:
        return reverse(name, args=arguments)
    except NoReverseMatch:
        return ""
