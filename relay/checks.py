"""`manage.py check`: every setting, and what a site lacks, by id and with a hint.

What only a running Redis or database can answer is asked by `manage.py relay check`.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.module_loading import import_string

from relay import conf
from relay.conf.entries import is_path

PERMISSION = "perm:"
DATABASE_SESSIONS = (
    "django.contrib.sessions.backends.db",
    "django.contrib.sessions.backends.cached_db",
)


@register()
def check_settings(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = [
        Error(invalid.text, hint=invalid.hint, id=invalid.check) for invalid in conf.find_invalid()
    ]
    if not found:
        found += _missing_rules()
        found += _unknown_permissions()
        found += _admin_address()
    for name in conf.unknown_names():
        close = get_close_matches(name, conf.NAMES, n=1)
        hint = f"Did you mean {close[0]}?" if close else "docs/settings.md lists all settings."
        found.append(Warning(f"{name} is not a setting of the hub.", hint=hint, id="relay.W001"))
    return found


@register()
def check_channel_layer(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    layers = getattr(django_settings, "CHANNEL_LAYERS", {})
    backend = layers.get("default", {}).get("BACKEND", "")
    if backend and not backend.endswith(".InMemoryChannelLayer"):
        return []
    text = "The channel layer is in memory." if backend else "There is no channel layer."
    hint = "Kicks reach every hub process within a second all the same, over Redis itself."
    return [Info(text, hint=hint, id="relay.I001")]


@register()
def check_asgi_application(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    path = getattr(django_settings, "ASGI_APPLICATION", None)
    if not path or not _is_wsgi(path):
        return []
    text = f"ASGI_APPLICATION names a WSGI application: {path!r}."
    hint = "Name the application of asgi.py, or remove the setting: `relay serve` needs none."
    return [Error(text, hint=hint, id="relay.E101")]


@register()
def check_database_drivers(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for alias in connections:
        try:
            connections[alias]
        except ImproperlyConfigured as error:
            text = f"The driver of the database {alias!r} is missing: {str(error).splitlines()[0]}"
            hint = "For PostgreSQL: pip install 'relay-hub[postgres]'."
            found.append(Error(text, hint=hint, id="relay.E102"))
    return found


@register(Tags.database, deploy=True)
def check_sqlite(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """SQLite locks the whole file for each sign-in; with several processes some of them fail."""
    if django_settings.SESSION_ENGINE not in DATABASE_SESSIONS:
        return []
    if connections["default"].vendor != "sqlite":
        return []
    text = "Sessions are in an SQLite database, which several processes cannot write to at once."
    hint = "Use PostgreSQL or another database server, or keep sessions in a cache."
    return [Warning(text, hint=hint, id="relay.W003")]


def _rules() -> Iterator[tuple[str, str]]:
    """The entries of RELAY_CHANNELS with each of their rules that is text."""
    for name, entry in conf.load().channels:
        for rule in (entry.get("access"), entry.get("wildcard")):
            if isinstance(rule, str):
                yield name, rule


def _missing_rules() -> Iterator[CheckMessage]:
    """Access rules that name a function which is not there."""
    check = conf.find_setting("RELAY_CHANNELS").check
    for name, rule in _rules():
        if not is_path(rule):
            continue
        try:
            import_string(rule)
        except ImportError as error:
            text = f"RELAY_CHANNELS is not valid: the rule of {name!r} is not there: {error}."
            yield Error(text, hint="Name a function as package.module.function.", id=check)


def _unknown_permissions() -> Iterator[CheckMessage]:
    """A warning and no error: an authentication backend may know permissions of its own."""
    rules = [(name, rule) for name, rule in _rules() if rule.startswith(PERMISSION)]
    known = set(_permissions()) if rules else set()
    for name, rule in rules:
        permission = rule.removeprefix(PERMISSION)
        if permission not in known:
            close = get_close_matches(permission, known, n=1)
            hint = f"Did you mean {close[0]}?" if close else "Name it as app_label.codename."
            text = f"The rule of {name!r} names a permission that no model has: {permission}."
            yield Warning(text, hint=hint, id="relay.W002")


def _permissions() -> Iterator[str]:
    for model in apps.get_models():
        options = model._meta
        for action in options.default_permissions:
            yield f"{options.app_label}.{action}_{options.model_name}"
        for codename, _ in options.permissions:
            yield f"{options.app_label}.{codename}"


def _admin_address() -> Iterator[CheckMessage]:
    address = conf.load().admin_address
    if address is None:
        return
    if find_spec("prometheus_client") is None:
        text = "RELAY_ADMIN_ADDRESS needs prometheus-client, which is not installed."
        hint = "Run: pip install 'relay-hub[metrics]'."
        yield Error(text, hint=hint, id="relay.E103")
    if not address.is_loopback:
        text = f"RELAY_ADMIN_ADDRESS is not loopback: {address.shown}."
        hint = (
            "Whoever reaches it reads the names of channels and all counters. Use 127.0.0.1,"
            " or make sure that only your monitoring reaches it."
        )
        yield Warning(text, hint=hint, id="relay.W004")


def _is_wsgi(path: str) -> bool:
    """By its name: importing the application would make one that serves, in a process that does not."""
    same = path == getattr(django_settings, "WSGI_APPLICATION", None)
    return same or path.split(".")[-2:-1] == ["wsgi"]
