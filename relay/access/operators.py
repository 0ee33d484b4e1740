"""Who may use the operator's page: users with `relay.operate`, and whoever came by a one-time link."""

import hashlib
import os
import secrets
from dataclasses import dataclass
from typing import Any

from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.signing import BadSignature, TimestampSigner
from django.http import HttpRequest
from django.http.cookie import parse_cookie

from relay import conf
from relay.access import threads
from relay.access.identity import Credentials, Viewer, session_viewer, user_of
from relay.access.rules import has_permission

PERMISSION = "relay.operate"

RUN_VARIABLE = "HUB_RUN"
"""The environment variable by which the workers of one `relay serve` know the same run."""

COOKIE_SECONDS = 7 * 86_400
"""How long a cookie is valid at the most. It ends with the run in any case."""

_fallback_run = secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Operator:
    """`name` is for the log; `key` is the id of the user, empty for one who came by a link."""

    name: str
    key: str = ""
    ends_at: float | None = None


class NotOperator(Exception):
    """The sender may not use the page. `signed_in`: somebody is signed in, who lacks the permission."""

    def __init__(self, *, signed_in: bool) -> None:
        super().__init__("not an operator")
        self.signed_in = signed_in


async def operator_of(request: HttpRequest) -> Operator:
    """Returns who sends a Django request. Raises NotOperator."""
    operator = _by_cookie(request.headers.get("Cookie", ""))
    if operator is not None:  # a hub that is run for one person need not have a database
        return operator
    user = await user_of(request)
    return await _by_right(Viewer(user, str(user.pk) if user.is_authenticated else ""))


async def operator_by(credentials: Credentials, cookie: str) -> Operator:
    """Returns who sends a request for a stream. Tokens never count. Raises NotOperator."""
    return _by_cookie(cookie) or await _by_right(await session_viewer(credentials.session_key))


async def still_operates(key: str) -> bool:
    """Whether the user with this id is active and has the permission now."""
    user = await threads.run("session", _find, key)
    return user is not None and await has_permission(user, PERMISSION)


def _find(key: str) -> Any:
    model = get_user_model()
    user = model._default_manager.filter(pk=key).first()
    return user if user is not None and user.is_active else None


async def _by_right(viewer: Viewer) -> Operator:
    if not viewer.key or not await has_permission(viewer.user, PERMISSION):
        raise NotOperator(signed_in=bool(viewer.key))
    return Operator(f"user {viewer.key}", viewer.key, viewer.ends_at)


# -- the cookie of those who came by a link


def cookie_name() -> str:
    """Returns a name of this run: hubs on other ports of a host share its cookies."""
    return f"relay_operator_{hashlib.sha256(_run().encode()).hexdigest()[:8]}"


def new_cookie() -> str:
    """Returns a value that is signed for this run."""
    return _signer().sign(secrets.token_hex(4))


def _by_cookie(cookie: str) -> Operator | None:
    value = parse_cookie(cookie).get(cookie_name())
    if not value or not conf.load().operator_link:
        return None
    try:
        name = _signer().unsign(value, max_age=COOKIE_SECONDS)
    except BadSignature:
        return None
    return Operator(f"link {name}")


def _signer() -> TimestampSigner:
    return TimestampSigner(key=f"{django_settings.SECRET_KEY}{_run()}", salt="relay.operator")


def _run() -> str:
    return os.environ.get(RUN_VARIABLE) or _fallback_run
