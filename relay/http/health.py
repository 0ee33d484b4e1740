"""The pages beside the stream: the dashboard and the hub's own health."""

import asyncio

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from relay.engine.lifespan import get_hub


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
