"""Ends a user's streams when the user signs out, is deactivated or deleted, or has a new password.

A session that is deleted ends them as well, where sessions are in a table.

What does not go through Django's signals is not seen: `QuerySet.update`, SQL. `kick` is there for that.
"""

import logging
import time
from contextvars import ContextVar
from importlib import import_module
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models import Model
from django.db.models.signals import post_delete, post_save, pre_save
from django.utils import timezone

from relay.control.kicks import kick_at_sign_out as kick

logger = logging.getLogger("relay")

WATCHED = {"is_active", "password"}

_MARK = "_relay_kicked"

AGAIN_SECONDS = 0.5

_signed_out: ContextVar[tuple[str, float]] = ContextVar("signed_out", default=("", 0.0))
"""Who signed out last in this context, and when."""


def connect() -> None:
    """Once, when the models are loaded. Other models than the user's are not slowed down."""
    user_logged_out.connect(_logged_out, dispatch_uid="relay")
    for model in apps.get_models():
        if issubclass(model, get_user_model()):  # with its proxies and children
            pre_save.connect(_before_save, sender=model, dispatch_uid="relay")
            post_save.connect(_after_save, sender=model, dispatch_uid="relay")
            post_delete.connect(_deleted, sender=model, dispatch_uid="relay")
    sessions = _session_model()
    if sessions is not None:
        post_delete.connect(_session_deleted, sender=sessions, dispatch_uid="relay")


def _session_model() -> type[Model] | None:
    """Returns the table of the sessions; None for a site whose sessions have no table."""
    store = import_module(django_settings.SESSION_ENGINE).SessionStore
    find = getattr(store, "get_model_class", None)
    try:
        return find() if find else None
    except RuntimeError:  # the app of the model is not installed: the site has no sessions
        return None


def _logged_out(user: Model | None, **_: Any) -> None:
    if user is not None:
        _signed_out.set((str(user.pk), time.monotonic()))
        _kick_on_commit(str(user.pk), None)


def _before_save(instance: Model, using: str, update_fields: Any, **_: Any) -> None:
    """Marks a user for `_after_save`: only then does the row hold what was changed."""
    written = {field.name for field in instance._meta.concrete_fields}
    watched = WATCHED & written & set(update_fields or written)
    if instance._state.adding or not watched:
        return
    manager = type(instance)._base_manager.using(using)
    stored = manager.filter(pk=instance.pk).values(*watched).first()
    if stored and _is_kicked(stored, instance):
        setattr(instance, _MARK, True)


def _is_kicked(stored: dict[str, Any], instance: Model) -> bool:
    if stored.get("is_active") and not getattr(instance, "is_active", True):
        return True
    return "password" in stored and stored["password"] != getattr(instance, "password", None)


def _after_save(instance: Model, using: str, **_: Any) -> None:
    if instance.__dict__.pop(_MARK, False):
        _kick_on_commit(str(instance.pk), using)


def _deleted(instance: Model, using: str, **_: Any) -> None:
    _kick_on_commit(str(instance.pk), using)


def _session_deleted(instance: Any, using: str, **_: Any) -> None:
    """Kicks the user of a session that was still valid: it was flushed, or taken away."""
    if instance.expire_date <= timezone.now():
        return
    key = instance.get_decoded().get(SESSION_KEY)
    if key and not _just_signed_out(str(key)):
        _kick_on_commit(str(key), using)


def _just_signed_out(key: str) -> bool:
    """Whether the user was kicked by the sign-out that deletes the session. A slow one kicks again."""
    user, at = _signed_out.get()
    return user == key and time.monotonic() - at < AGAIN_SECONDS


def _kick_on_commit(key: str, using: str | None) -> None:
    transaction.on_commit(lambda: _kick(key), using=using)


def _kick(key: str) -> None:
    """Never raises: somebody who signs out is to be signed out, whatever Redis does."""
    try:
        kick(user=key)
    except Exception as error:
        extra = {"user": key}
        logger.error("The streams of user %s could not be ended: %s", key, error, extra=extra)
