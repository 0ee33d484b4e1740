"""Who sends a request: a token's subject, a user of the Django session, or nobody."""

import logging
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from django.conf import settings as django_settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.http.cookie import parse_cookie

from relay import conf
from relay.access import threads
from relay.access.bearer import bearer, claims_of

logger = logging.getLogger("relay")

TOKEN_COOKIE = "relay_token"  # noqa: S105  (its name)
"""A cookie with a token has this name, or one that begins with it and an underscore."""

MAX_COOKIES = 40
"""How many tokens in cookies are looked at; each costs a check of its signature."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request shows of its sender. No value is ever printed."""

    token: str | None = field(default=None, repr=False)
    session_key: str = field(default="", repr=False)
    cookie_tokens: tuple[str, ...] = field(default=(), repr=False)
    """All tokens in cookies, where neither the field nor the query has one."""

    @classmethod
    def of(cls, authorization: str, query_token: str, cookie: str) -> "Credentials":
        """Reads the two fields and the query. The first place that has a token counts."""
        cookies = parse_cookie(cookie)
        session_key = cookies.get(django_settings.SESSION_COOKIE_NAME, "")
        token = bearer(authorization)
        if token is None:
            token = query_token or None
        if token is not None:
            return cls(token, session_key)
        tokens = tuple(text for name, text in cookies.items() if text and _is_token_cookie(name))
        return cls(next(iter(tokens), None), session_key, tokens[:MAX_COOKIES])

    @property
    def by_browser(self) -> bool:
        """Whether a browser sends them by itself, whichever page causes the request."""
        return bool(self.cookie_tokens) or (self.token is None and bool(self.session_key))


def _is_token_cookie(name: str) -> bool:
    return name == TOKEN_COOKIE or name.startswith(f"{TOKEN_COOKIE}_")


@dataclass(frozen=True, slots=True)
class Viewer:
    """`key` is a user's id or a token's subject, empty for nobody; `ends_at` is Unix time."""

    user: Any
    key: str = ""
    claims: Mapping[str, Any] | None = None
    ends_at: float | None = None

    @property
    def subject(self) -> str:
        """For rates, limits and idempotency keys: a user and a token's `sub` are never the same."""
        return subject_of(self.key, by_token=self.claims is not None)


def subject_of(key: str, *, by_token: bool) -> str:
    """Returns the name by which somebody is counted; empty for nobody."""
    return f"{'token' if by_token else 'user'}:{key}" if key else ""


def token_viewer(token: str) -> Viewer:
    """Raises Problem (401) for a token that is not valid."""
    claims = claims_of(token)
    return Viewer(AnonymousUser(), claims["sub"], claims, float(claims["exp"]))


async def session_viewer(session_key: str) -> Viewer:
    """Returns the user of the session, or nobody."""
    if not session_key:
        return Viewer(AnonymousUser())
    return await threads.run("session", _session_viewer, session_key)


async def user_of(request: HttpRequest) -> Any:
    """Returns the user of a Django request, whatever its backend offers to asynchronous code."""
    return await threads.run("session", _user_of, request)


def _user_of(request: Any) -> Any:
    """Reads the user now: `request.user` is lazy. A session of another user model is nobody's."""
    user = getattr(request, "user", None)
    try:
        return user if user is not None and user.is_authenticated else AnonymousUser()
    except (ValidationError, ValueError, TypeError):
        return _other_model()


def _session_viewer(session_key: str) -> Viewer:
    """Uses no more of the backend than `get_user`: that is all that a backend must have."""
    session = import_module(django_settings.SESSION_ENGINE).SessionStore(session_key)
    # Reading a session must not change it. Django gives it a new key when the secret key was replaced,
    # and the browser would never receive that key.
    session.cycle_key = session.flush = lambda: None
    try:
        user = get_user(SimpleNamespace(session=session))  # type: ignore[arg-type]
    except (ValidationError, ValueError, TypeError):
        user = _other_model()
    if not user.is_authenticated:
        return Viewer(AnonymousUser())
    return Viewer(user, str(user.pk), None, min(_session_end(session), _recheck_at()))


def _other_model() -> AnonymousUser:
    logger.warning("A session is of another user model; it counts as nobody's (AUTH_USER_MODEL).")
    return AnonymousUser()


def _recheck_at() -> float:
    """Returns when a stream by a session ends at the latest, so that its client is judged anew."""
    seconds = conf.load().session_check_seconds
    return time.time() + seconds * random.uniform(0.8, 1.0) if seconds else float("inf")


def _session_end(session: Any) -> float:
    """Returns Unix time. For engines without a table it is counted from now."""
    model = getattr(session, "model", None)
    if model is not None:
        rows = model.objects.filter(session_key=session.session_key)
        row = rows.values_list("expire_date", flat=True).first()
        if row is not None:
            return float(row.timestamp())
    return time.time() + float(session.get_expiry_age())
