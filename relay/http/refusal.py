"""How a Django view refuses (RFC 9457)."""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from relay.access import problem
from relay.access.problem import Problem
from relay.broker.errors import RedisUnavailable
from relay.http import cors

FORGED = _("The CSRF token (X-CSRFToken) or the origin is missing or not right.")

View = Callable[..., Coroutine[Any, Any, HttpResponse]]


def problems(view: View) -> View:
    """Answers a Problem that the view raises, and lets pages of listed origins read the answers."""

    @wraps(view)
    async def answering(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        answer = cors.preflight(request)
        if answer is None:
            try:
                answer = await view(request, *args, **kwargs)
            except Problem as refusal:
                answer = refuse(refusal)
        return cors.allow(request, answer)

    return answering


def require_method(request: HttpRequest, methods: str, detail: object) -> None:
    """Raises Problem (405) for a method that is not one of `methods`, as an Allow field lists them."""
    if request.method not in methods.split(", "):
        raise Problem(405, detail, [(b"Allow", methods.encode())])


@contextmanager
def redis_answers() -> Iterator[None]:
    """Turns a RedisUnavailable of what is read inside into a Problem (503)."""
    try:
        yield
    except RedisUnavailable:
        raise Problem(503, _("Redis did not answer."), [(b"Retry-After", b"1")]) from None


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW. `reason` may quote the client, so it is not repeated."""
    return cors.allow(request, refuse(Problem(403, FORGED)))


def refuse(refusal: Problem) -> HttpResponse:
    """Returns the answer that a Problem describes."""
    response = HttpResponse(refusal.body, status=refusal.status)
    for name, value in (*problem.HEADERS, *refusal.headers):
        response[name.decode()] = value.decode()
    return response
