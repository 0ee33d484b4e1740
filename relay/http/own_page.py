"""Whether a request comes from a page of this site: Django's CSRF check."""

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from relay.access.problem import Problem
from relay.http.refusal import FORGED


async def require_own_page(request: HttpRequest) -> None:
    """Raises Problem (403) unless the CSRF token and the origin are right."""
    if not await sync_to_async(_is_own_page)(request):
        raise Problem(403, FORGED)


def _is_own_page(request: HttpRequest) -> bool:
    return CsrfViewMiddleware(_guarded).process_view(request, _guarded, (), {}) is None


def _guarded(request: HttpRequest) -> HttpResponse:
    """Stands for a view that is not exempt."""
    return HttpResponse()
