"""The page that shows the messages live."""

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
        "channels": _address("relay-channels"),
        "history": _address("relay-history", "-"),
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
