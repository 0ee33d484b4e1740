"""`POST /token/`: a signed-in user gets a token for what that user may see."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import get_script_prefix
from django.utils.translation import gettext_lazy as _

from relay import conf
from relay.access import tokens
from relay.access.bearer import unauthenticated
from relay.access.identity import TOKEN_COOKIE, Viewer
from relay.access.problem import Problem
from relay.access.rules import require
from relay.http.query import find_channels
from relay.http.refusal import problems, require_method
from relay.http.request import scope_of


@problems
async def token(request: HttpRequest) -> HttpResponse:
    """Answers {"token", "expires_in", "channels"}.

    The form names channels as `channel` (else the default one). With `cookie=1` the token comes as
    an HttpOnly cookie instead. CSRF protection is Django's. Refusals are problems (RFC 9457).
    """
    require_method(request, "POST", _("A token is requested with POST."))
    user = await request.auser()
    if not user.is_authenticated:
        raise unauthenticated(_("Sign in to get a token."))
    channels = await _visible(request, Viewer(user, str(user.pk)))
    try:
        text = tokens.issue(str(user.pk), channels)
    except ValueError as error:
        raise Problem(400, error.args[0]) from None
    return _response(request, text, channels)


async def _visible(request: HttpRequest, viewer: Viewer) -> list[str]:
    """Returns the names that the form asks for. Raises Problem unless the viewer may see them all."""
    names = request.POST.getlist("channel") or [conf.load().channel]
    targets = find_channels(conf.load_catalogue(), names)
    for target in targets:
        await require(viewer, target, scope_of(request))
    return [target.name for target in targets]


def _response(request: HttpRequest, text: str, channels: list[str]) -> HttpResponse:
    settings = conf.load()
    seconds = round(settings.token_seconds)
    body: dict[str, Any] = {"expires_in": seconds, "channels": channels}
    as_cookie = request.POST.get("cookie") == "1"
    headers = {"Cache-Control": "no-store"}
    response = JsonResponse(body if as_cookie else {"token": text, **body}, headers=headers)
    if as_cookie:
        secure = request.is_secure()
        response.set_cookie(
            TOKEN_COOKIE,
            text,
            max_age=seconds,
            httponly=True,
            secure=secure,
            samesite="None" if secure else "Lax",  # None: pages of other origins send it as well
            path=get_script_prefix() + settings.stream_path,
        )
    return response
