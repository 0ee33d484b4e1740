"""Who asks, and whether the rule of a channel lets them."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from django.conf import settings as django_settings
from django.contrib.auth import aget_user
from django.contrib.auth.models import AnonymousUser
from django.http.cookie import parse_cookie

from relay.access import tokens
from relay.access.problem import Problem

logger = logging.getLogger("relay")

TOKEN_COOKIE = "relay_token"  # noqa: S105  (its name)


@dataclass(frozen=True, slots=True)
class Viewer:
    """`key` is a user's id or a token's subject, empty for nobody; `ends_at` is Unix time."""

    user: Any
    key: str = ""
    claims: Mapping[str, Any] | None = None
    ends_at: float | None = None


async def identify(headers: Mapping[bytes, bytes], query: Mapping[str, Any]) -> Viewer:
    """By a token (Authorization header, `token` of the query, cookie), else by the Django session.

    Raises Problem (401) for a token that is not valid.
    """
    cookies = parse_cookie(headers.get(b"cookie", b"").decode("latin-1"))
    token = _token(headers, query, cookies)
    if token:
        try:
            claims = tokens.decode(token)
        except tokens.TokenRefused as error:
            raise Problem(401, str(error), [(b"WWW-Authenticate", b"Bearer")]) from None
        return Viewer(AnonymousUser(), claims["sub"], claims, float(claims["exp"]))
    return await _session_viewer(cookies.get(django_settings.SESSION_COOKIE_NAME, ""))


def _token(
    headers: Mapping[bytes, bytes], query: Mapping[str, Any], cookies: Mapping[str, str]
) -> str:
    kind, _, value = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    return str(query.get("token", [""])[0]) or cookies.get(TOKEN_COOKIE, "")


async def _session_viewer(session_key: str) -> Viewer:
    if not session_key:
        return Viewer(AnonymousUser())
    session = import_module(django_settings.SESSION_ENGINE).SessionStore(session_key)
    # Looking at a session must not change it, as Django does when a secret key was replaced: the
    # browser would not hear of a new key.
    session.cycle_key = session.flush = lambda: None
    session.acycle_key = session.aflush = _nothing
    user = await aget_user(SimpleNamespace(session=session))  # type: ignore[arg-type]
    if not user.is_authenticated:
        return Viewer(AnonymousUser())
    return Viewer(user, str(user.pk), None, await _session_end(session))


async def _nothing() -> None:
    pass


async def _session_end(session: Any) -> float:
    """Unix time. Engines without a table do not tell it: there it is counted from now."""
    model = getattr(session, "model", None)
    if model is not None:
        rows = model.objects.filter(session_key=session.session_key)
        row = await rows.values_list("expire_date", flat=True).afirst()
        if row is not None:
            return float(row.timestamp())
    return time.time() + float(await session.aget_expiry_age())
