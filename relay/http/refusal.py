"""How a Django view refuses (RFC 9457)."""

from django.http import HttpRequest, HttpResponse

from relay.access import problem
from relay.access.problem import Problem

FORGED = "The CSRF token (X-CSRFToken) or the origin is missing or not right."


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW. `reason` may quote the client, so it is not repeated."""
    return refuse(Problem(403, FORGED))


def refuse(refusal: Problem) -> HttpResponse:
    """The answer that a Problem is."""
    response = HttpResponse(refusal.body, status=refusal.status)
    for name, value in (*problem.HEADERS, *refusal.headers):
        response[name.decode()] = value.decode()
    return response
