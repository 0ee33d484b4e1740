"""`GET /health/`: the state of the hub of this process."""

import asyncio

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from relay.access.problem import Problem
from relay.engine.lifespan import hub_to_serve
from relay.http.refusal import problems


@require_safe
@problems
async def health(request: HttpRequest) -> HttpResponse:
    """200 while the subscription to Redis stands, else 503; the counters either way.

    A process that serves no streams answers 503 and starts no hub, nor does any under WSGI. One that
    serves them may hear of its first request here, by which a load balancer decides about others.
    """
    hub = hub_to_serve() if isinstance(request, ASGIRequest) else None
    if hub is None:
        text = _("This process runs no hub. Ask the process that serves the streams.")
        raise Problem(503, text)
    state = "live" if hub.live else "lost"
    return JsonResponse(
        {"redis": state, "tasks": len(asyncio.all_tasks()), **hub.stats.as_dict()},
        status=200 if hub.live else 503,
        headers={"Cache-Control": "no-store"},
    )
