"""A site that takes messages over HTTP, and what a test asks of it; the name of its urls is this module's."""

import json
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.test import AsyncClient
from django.urls import path

from relay.access.grant import Grant
from relay.conf.catalogue import Target
from relay.http import publish

CHANNELS = {
    "orders": {"access": "public"},
    "orders/eu": {"access": "public"},
    "named": {"access": "public", "envelope": True},
    "small": {"access": "public", "event_bytes": 256},
    "room.*": {"access": "public", "wildcard": "public"},
}
BATCH = "application/x-ndjson"
ENVELOPE = "application/vnd.relay.envelope+json"


async def by_header(request: HttpRequest, target: Target) -> Grant:
    """A site's own hook: anybody may, under the name that is given."""
    return Grant(request.headers.get("X-Name", "somebody"))


urlpatterns = [
    path("publish/<path:channel>/", publish.publish),
    path("open/<path:channel>/", publish.publish, {"authorize": by_header}),
]


async def post(
    channel: str, body: bytes, content_type: str = "text/plain", way: str = "open", **headers: str
) -> HttpResponseBase:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await AsyncClient().post(
        f"/{way}/{channel}/", body, content_type=content_type, headers=names
    )


def told(response: Any) -> tuple[int, str]:
    """Status and detail of a refusal, whose form is checked."""
    problem = json.loads(response.content)
    assert response["Content-Type"] == "application/problem+json"
    assert response["Cache-Control"] == "no-store"
    assert problem.keys() == {"title", "status", "detail"}
    assert problem["status"] == response.status_code
    return response.status_code, problem["detail"]


def done(response: Any) -> tuple[int, int]:
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/json"
    answer = json.loads(response.content)
    assert answer.keys() == {"published", "subscribers"}
    return answer["published"], answer["subscribers"]
