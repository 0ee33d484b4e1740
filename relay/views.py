"""The pages beside the stream: the dashboard and the hub's own health."""

import asyncio

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from relay import conf
from relay.lifespan import get_hub


@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    response = render(request, "index.html", {"channel": conf.load().channel})
    response["Cache-Control"] = "no-cache"
    return response


@require_safe
async def health(request: HttpRequest) -> HttpResponse:
    """200 while the subscription to Redis stands, else 503; the counters either way."""
    hub = get_hub()
    state = "live" if hub.live else "lost"
    return JsonResponse(
        {"redis": state, "tasks": len(asyncio.all_tasks()), **hub.stats.as_dict()},
        status=200 if hub.live else 503,
        headers={"Cache-Control": "no-store"},
    )
