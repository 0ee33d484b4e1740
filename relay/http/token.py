"""`POST /token/`: a signed-in user gets a token for what that user may see."""

import hashlib
from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.urls import get_script_prefix
from django.utils.translation import gettext_lazy as _

from relay import conf
from relay.access import tokens
from relay.access.bearer import unauthenticated
from relay.access.identity import TOKEN_COOKIE, Viewer, user_of
from relay.access.problem import Problem
from relay.access.rules import require
from relay.http.query import find_channels
from relay.http.refusal import problems, require_method
from relay.http.request import scope_of

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@problems
async def token(request: HttpRequest) -> HttpResponse:
    """Answers {"token", "expires_in", "channels"}.

    The form names channels as `channel` (else the default one). With `cookie=1` the token comes as
    an HttpOnly cookie instead. CSRF protection is Django's. Refusals are problems (RFC 9457).
    """
    require_method(request, "POST", _("A token is requested with POST."))
    user = await user_of(request)
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
    names = _form(request).getlist("channel") or [conf.load().channel]
    targets = find_channels(conf.load_catalogue(), names)
    for target in targets:
        await require(viewer, target, scope_of(request))
    return [target.name for target in targets]


def _form(request: HttpRequest) -> QueryDict:
    """Raises Problem (415) for a body that is no form: its channels would be overlooked."""
    if request.content_type not in FORMS and request.body:
        raise Problem(415, _("The channels are named in a form (channel=…)."))
    return request.POST


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
            _cookie_name(channels),
            text,
            max_age=seconds,
            httponly=True,
            secure=secure,
            samesite="None" if secure else "Lax",  # None: pages of other origins send it as well
            # Without a slash at its end it goes to the stream with and without one (RFC 6265, 5.1.4).
            path=get_script_prefix() + settings.stream_path.rstrip("/"),
        )
    return response


def _cookie_name(channels: Sequence[str]) -> str:
    """Each set of channels has a cookie of its own, so that none replaces another's token."""
    digest = hashlib.sha256("\n".join(sorted(channels)).encode()).hexdigest()
    return f"{TOKEN_COOKIE}_{digest[:8]}"
