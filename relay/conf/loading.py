"""The one typed view of the settings.

A setting is an attribute of the Django settings module, or an environment variable of the same name
that the project's settings module takes over as text; either is accepted and validated here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from relay.broker.urls import ClusterUrl, parse
from relay.conf.catalogue import Catalogue
from relay.conf.entries import InvalidEntry
from relay.conf.settings import Settings
from relay.conf.table import NAMES, SECRETS, TABLE, Setting

WRONG = (ValueError, TypeError, OverflowError, LookupError, AttributeError)
"""What a parser raises for a value that cannot be used."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """A setting that cannot be used. `text` names it and never shows a secret."""

    check: str
    text: str
    hint: str


@cache
def load() -> Settings:
    """The settings in force. Raises ValueError naming the first that is not valid."""
    for invalid in find_invalid():
        raise ValueError(f"{invalid.text} {invalid.hint}")
    return _settings()


@cache
def load_catalogue() -> Catalogue:
    """The channels there are, by the settings in force. Raises ValueError like `load`."""
    return load().catalogue()


def _read_again(**changed: object) -> None:
    load.cache_clear()
    load_catalogue.cache_clear()


setting_changed.connect(_read_again)


def find_invalid() -> Iterator[Invalid]:
    """Every setting that cannot be used."""
    found = [invalid for setting in TABLE for invalid in _wrong_value(setting)]
    yield from found
    if not found:
        yield from islice(_unservable(_settings()), 1)


def find_setting(name: str) -> Setting:
    """The row of a setting. Raises LookupError."""
    return {setting.name: setting for setting in TABLE}[name]


def unknown_names() -> list[str]:
    """Settings that begin with RELAY_ and are none of ours: most likely misspelt."""
    return sorted(
        name for name in dir(django_settings) if name.startswith("RELAY_") and name not in NAMES
    )


def _wrong_value(setting: Setting) -> Iterator[Invalid]:
    value = _value(setting)
    try:
        setting.parse(value)
    except InvalidEntry as error:
        yield Invalid(setting.check, f"{setting.name} is not valid: {error}.", setting.hint)
    except WRONG:
        shown = "" if setting.name in SECRETS else f": {value!r}"
        yield Invalid(setting.check, f"{setting.name} is not valid{shown}.", setting.hint)


def _unservable(settings: Settings) -> Iterator[Invalid]:
    """Channels that are well formed and still cannot be served."""
    for name, channels in (("RELAY_CHANNEL", ()), ("RELAY_CHANNELS", settings.channels)):
        try:
            replace(settings, channels=channels).catalogue()
        except ValueError as error:
            setting = find_setting(name)
            yield Invalid(setting.check, f"{name} is not valid: {error}.", setting.hint)
    if settings.sharded:
        yield from _unshardable(settings)


def _unshardable(settings: Settings) -> Iterator[Invalid]:
    """What sharded channels cannot do: be at a Redis that is no cluster, or have patterns."""
    setting = find_setting("RELAY_PUBSUB")
    if not isinstance(parse(settings.redis_url), ClusterUrl):
        text = "RELAY_PUBSUB is not valid: sharded channels need REDIS_URL=redis+cluster://…."
        yield Invalid(setting.check, text, setting.hint)
    for name, entry in settings.channels:
        if entry.get("wildcard") is not None:
            text = f"RELAY_PUBSUB is not valid: sharded channels have no wildcards, as {name} has."
            yield Invalid(setting.check, text, setting.hint)


def _settings() -> Settings:
    return Settings(**{setting.field: setting.parse(_value(setting)) for setting in TABLE})


def _value(setting: Setting) -> Any:
    return getattr(django_settings, setting.name, setting.default)
