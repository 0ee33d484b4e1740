"""Who sends a request: a token's subject, a user of the Django session, or nobody."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from django.conf import settings as django_settings
from django.contrib.auth import aget_user
from django.contrib.auth.models import AnonymousUser
from django.http.cookie import parse_cookie

from relay.access.bearer import bearer, claims_of

TOKEN_COOKIE = "relay_token"  # noqa: S105  (its name)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request shows of its sender. Neither value is ever printed."""

    token: str | None = field(default=None, repr=False)
    session_key: str = field(default="", repr=False)

    @classmethod
    def of(cls, authorization: str, query_token: str, cookie: str) -> "Credentials":
        """Reads the two fields and the query. The token of the first that has one counts."""
        cookies = parse_cookie(cookie)
        token = bearer(authorization)
        if token is None:
            token = query_token or cookies.get(TOKEN_COOKIE) or None
        return cls(token, cookies.get(django_settings.SESSION_COOKIE_NAME, ""))


@dataclass(frozen=True, slots=True)
class Viewer:
    """`key` is a user's id or a token's subject, empty for nobody; `ends_at` is Unix time."""

    user: Any
    key: str = ""
    claims: Mapping[str, Any] | None = None
    ends_at: float | None = None


async def identify(credentials: Credentials) -> Viewer:
    """Returns the subject of the token, or else the user of the Django session.

    Raises Problem (401) for a token that is not valid.
    """
    if credentials.token is not None:
        claims = claims_of(credentials.token)
        return Viewer(AnonymousUser(), claims["sub"], claims, float(claims["exp"]))
    return await _session_viewer(credentials.session_key)


async def _session_viewer(session_key: str) -> Viewer:
    if not session_key:
        return Viewer(AnonymousUser())
    session = import_module(django_settings.SESSION_ENGINE).SessionStore(session_key)
    # Reading a session must not change it. Django gives it a new key when the secret key was replaced,
    # and the browser would never receive that key.
    session.cycle_key = session.flush = lambda: None
    session.acycle_key = session.aflush = _nothing
    user = await aget_user(SimpleNamespace(session=session))  # type: ignore[arg-type]
    if not user.is_authenticated:
        return Viewer(AnonymousUser())
    return Viewer(user, str(user.pk), None, await _session_end(session))


async def _nothing() -> None:
    pass


async def _session_end(session: Any) -> float:
    """Returns Unix time. For engines without a table it is counted from now."""
    model = getattr(session, "model", None)
    if model is not None:
        rows = model.objects.filter(session_key=session.session_key)
        row = await rows.values_list("expire_date", flat=True).afirst()
        if row is not None:
            return float(row.timestamp())
    return time.time() + float(await session.aget_expiry_age())
