"""`POST /token/`: a signed-in user gets a token for what that user may see."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import get_script_prefix
from django.views.decorators.http import require_POST

from relay.access import tokens
from relay.access.identity import TOKEN_COOKIE, Viewer
from relay.access.problem import Problem
from relay.access.rules import require
from relay.engine.lifespan import get_hub
from relay.http.query import find_channels
from relay.http.refusal import refuse


@require_POST
async def token(request: HttpRequest) -> HttpResponse:
    """Answers {"token", "expires_in", "channels"}.

    The form names channels as `channel` (else the default one). With `cookie=1` the token comes as
    an HttpOnly cookie instead. CSRF protection is Django's. Refusals are problems (RFC 9457).
    """
    hub = get_hub()
    try:
        user = await request.auser()
        if not user.is_authenticated:
            raise Problem(401, "Sign in to get a token.")
        names = request.POST.getlist("channel") or [hub.settings.channel]
        founds = find_channels(hub.catalogue, names)
        for found in founds:
            await require(Viewer(user, str(user.pk)), found, _scope(request))
        granted = [found.name for found in founds]
        text = tokens.issue(str(user.pk), granted)
    except LookupError as error:
        return refuse(Problem(404, error.args[0]))
    except ValueError as error:
        return refuse(Problem(400, str(error)))
    except Problem as refusal:
        return refuse(refusal)
    seconds = hub.settings.token_seconds
    told: dict[str, Any] = {"expires_in": round(seconds), "channels": granted}
    as_cookie = request.POST.get("cookie") == "1"
    response = JsonResponse(told if as_cookie else {"token": text, **told})
    if as_cookie:
        secure = request.is_secure()
        response.set_cookie(
            TOKEN_COOKIE,
            text,
            max_age=round(seconds),
            httponly=True,
            secure=secure,
            samesite="None" if secure else "Lax",  # None: pages of other origins send it as well
            path=get_script_prefix() + hub.settings.stream_path,
        )
    response["Cache-Control"] = "no-store"
    return response


def _scope(request: HttpRequest) -> dict[str, Any]:
    return getattr(request, "scope", {})
