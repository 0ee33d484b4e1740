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
    """200 while the subscription to Redis stands and the database answers where one is needed, else 503.

    The counters are there either way.

    A process that serves no streams answers 503 and starts no hub, nor does any under WSGI. One that
    serves them may hear of its first request here, by which a load balancer decides about others.
    """
    hub = hub_to_serve() if isinstance(request, ASGIRequest) else None
    if hub is None:
        text = _("This process runs no hub. Ask the process that serves the streams.")
        raise Problem(503, text)
    redis, database = "live" if hub.live else "lost", await hub.database.state()
    tasks = len(asyncio.all_tasks())
    return JsonResponse(
        {"redis": redis, "database": database, "tasks": tasks, **hub.stats.as_dict()},
        status=503 if "lost" in (redis, database) else 200,
        headers={"Cache-Control": "no-store"},
    )
