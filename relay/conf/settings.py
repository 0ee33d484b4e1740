"""The one typed view of the settings.

A setting is an attribute of the Django settings module, or an environment variable of the same name
that the project's settings module takes over as text; either is accepted and validated here.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import islice
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from relay.broker.address import RedisAddress
from relay.conf.catalogue import Catalogue, Spec, is_name, parse_channels
from relay.conf.origins import Origins
from relay.conf.proxies import Network, parse_networks


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting of the hub, valid. docs/settings.md says what each is for."""

    redis_url: str
    channel: str
    ring_events: int
    ring_bytes: int
    event_bytes: int
    client_buffer_bytes: int
    max_streams: int
    heartbeat_seconds: float
    retry_ms: int
    overload_retry_ms: int
    stall_seconds: float
    prefix: str
    history_size: int
    history_seconds: float
    channels: tuple[tuple[str, Mapping[str, Any]], ...]
    channel_idle_seconds: float
    allowed_origins: Origins
    trusted_proxies: tuple[Network, ...]
    max_streams_per_user: int
    max_streams_per_address: int
    token_key: str
    token_jwks: str
    token_audience: str
    token_seconds: float
    http_publish: bool
    publish_per_second: int
    max_channels: int

    def catalogue(self) -> Catalogue:
        """What RELAY_CHANNELS says, and the default channel, which needs no entry."""
        entries = {self.channel: {"access": "public", "always": True}, **dict(self.channels)}
        bounds = {
            "history_size": self.history_size,
            "history_seconds": self.history_seconds,
            "event_bytes": self.event_bytes,
        }
        specs = (Spec(pattern=name, **{**bounds, **entry}) for name, entry in entries.items())
        return Catalogue(specs, self.prefix)


@dataclass(frozen=True, slots=True)
class Problem:
    """A setting that cannot be used. `text` names it and never shows a password."""

    number: int
    text: str
    hint: str


@dataclass(frozen=True, slots=True)
class _Setting:
    name: str
    default: Any
    parse: Callable[[Any], Any]
    hint: str


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if isinstance(value, bool) or int(value) != float(value) or not low <= int(value) <= high:
            raise ValueError
        return int(value)

    return parse


def _seconds(low: float, high: float) -> Callable[[Any], float]:
    def parse(value: Any) -> float:
        if isinstance(value, bool) or not low <= float(value) <= high:
            raise ValueError
        return float(value)

    return parse


def _channel(value: Any) -> str:
    if not isinstance(value, str) or not is_name(value):
        raise ValueError
    return value


def _prefix(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w.:-]{1,64}", value, re.ASCII):
        raise ValueError
    return value


def _words(value: Any) -> list[str]:
    return value.replace(",", " ").split() if isinstance(value, str) else list(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _token_key(value: Any) -> str:
    if not isinstance(value, str) or 0 < len(value) < 32:
        raise ValueError
    return value


FLAGS = {
    **dict.fromkeys(("1", "true", "on", "yes"), True),
    **dict.fromkeys(("0", "false", "off", "no"), False),
}
"""How a setting is switched on and off."""


def _flag(value: Any) -> bool:
    return FLAGS[str(value).strip().lower()]


def _jwks(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    if value:
        keys = json.loads(value)["keys"]
        if not keys or any(key["kty"] != "RSA" for key in keys):
            raise ValueError
    return str(value)


def _redis_url(value: Any) -> str:
    RedisAddress(value)
    return str(value)


def _number(name: str, default: int, low: int, high: int, unit: str) -> _Setting:
    return _Setting(
        name, default, _whole(low, high), f"Use a whole number of {unit} from {low} to {high}."
    )


def _duration(name: str, default: float, low: float, high: float) -> _Setting:
    return _Setting(
        name, default, _seconds(low, high), f"Use a number of seconds from {low:g} to {high:g}."
    )


MIB = 1024 * 1024

# In this order: the place of a setting is the number of its check (relay.E001 and so on).
_SETTINGS = (
    _Setting(
        "REDIS_URL",
        "redis://127.0.0.1:6379/0",
        _redis_url,
        "Use redis://[[user]:password@]host:port/db, rediss://… for TLS, or unix:///path/to/socket.",
    ),
    _Setting(
        "RELAY_CHANNEL",
        "demo_stream",
        _channel,
        "Use up to 255 letters, digits and _ . : / @ ~ ! $ ' , ; ( ) -, and no name that is Redis' own.",
    ),
    _number("RELAY_RING_EVENTS", 65_536, 1, 10_000_000, "events"),
    _number("RELAY_RING_BYTES", 16 * MIB, 1024, 4096 * MIB, "bytes"),
    _number("RELAY_EVENT_BYTES", 2 * MIB, 256, 512 * MIB, "bytes"),
    _number("RELAY_CLIENT_BUFFER_BYTES", 64 * 1024, 4096, 16 * MIB, "bytes"),
    _number("RELAY_MAX_STREAMS", 10_000, 1, 1_000_000, "streams"),
    _duration("RELAY_HEARTBEAT_SECONDS", 15.0, 0.1, 3600.0),
    _number("RELAY_RETRY_MS", 2000, 1, 3_600_000, "milliseconds"),
    _number("RELAY_OVERLOAD_RETRY_MS", 30_000, 1, 3_600_000, "milliseconds"),
    _duration("RELAY_STALL_SECONDS", 30.0, 1.0, 3600.0),
    _Setting(
        "RELAY_PREFIX",
        "relay",
        _prefix,
        "Use 1 to 64 letters, digits, dots, dashes, underscores or colons.",
    ),
    _number("RELAY_HISTORY_SIZE", 10_000, 0, 10_000_000, "messages"),
    _duration("RELAY_HISTORY_SECONDS", 86_400.0, 0.0, 31_536_000.0),
    _Setting(
        "RELAY_CHANNELS",
        "",
        parse_channels,
        "Use a dictionary of names to entries, or text such as news orders.*=signed-in; see"
        " docs/channels.md.",
    ),
    _duration("RELAY_CHANNEL_IDLE_SECONDS", 60.0, 0.0, 86_400.0),
    _Setting(
        "RELAY_ALLOWED_ORIGINS",
        "",
        lambda value: Origins(_words(value)),
        "Use origins such as https://app.example.com or https://*.example.com.",
    ),
    _Setting(
        "RELAY_TRUSTED_PROXIES",
        "",
        lambda value: parse_networks(_words(value)),
        "Use addresses or networks such as 10.0.0.0/8.",
    ),
    _number("RELAY_MAX_STREAMS_PER_USER", 0, 0, 1_000_000, "streams (0: no limit)"),
    _number("RELAY_MAX_STREAMS_PER_ADDRESS", 0, 0, 1_000_000, "streams (0: no limit)"),
    _Setting("RELAY_TOKEN_KEY", "", _token_key, "Use a secret of at least 32 characters."),
    _Setting("RELAY_TOKEN_JWKS", "", _jwks, "Use a JSON Web Key Set with RS256 keys (RFC 7517)."),
    _Setting("RELAY_TOKEN_AUDIENCE", "relay-hub", _text, "Use the text that aud must be."),
    _duration("RELAY_TOKEN_SECONDS", 300.0, 1.0, 86_400.0),
    _Setting("RELAY_HTTP_PUBLISH", 0, _flag, "Use 1 or 0."),
    _number("RELAY_PUBLISH_PER_SECOND", 1000, 1, 1_000_000, "messages per second"),
    _number("RELAY_MAX_CHANNELS", 10_000, 1, 1_000_000, "channels"),
)

DEFAULTS = {setting.name: setting.default for setting in _SETTINGS}
NAMES = tuple(DEFAULTS)
SECRETS = ("REDIS_URL", "RELAY_TOKEN_KEY")
"""Settings whose values are never shown."""


@cache
def load() -> Settings:
    """The settings in force. Raises ValueError naming the first that is not valid."""
    for problem in problems():
        raise ValueError(f"{problem.text} {problem.hint}")
    return _settings()


@cache
def load_catalogue() -> Catalogue:
    """The channels there are, by the settings in force. Raises ValueError like `load`."""
    return load().catalogue()


def _read_again(**changed: object) -> None:
    load.cache_clear()
    load_catalogue.cache_clear()


setting_changed.connect(_read_again)


def problems() -> Iterator[Problem]:
    """What is wrong with the settings, one by one."""
    found = list(_wrong_values())
    yield from found
    if not found:
        yield from islice(_unservable(_settings()), 1)


def _wrong_values() -> Iterator[Problem]:
    for number, setting in enumerate(_SETTINGS, start=1):
        value = _value(setting)
        try:
            setting.parse(value)
        except (ValueError, TypeError, OverflowError, LookupError, AttributeError):
            shown = "" if setting.name in SECRETS else f": {value!r}"
            yield Problem(number, f"{setting.name} is not valid{shown}.", setting.hint)


def _unservable(settings: Settings) -> Iterator[Problem]:
    """Channels that are well formed, and cannot be served all the same."""
    for name, channels in (("RELAY_CHANNEL", ()), ("RELAY_CHANNELS", settings.channels)):
        try:
            replace(settings, channels=channels).catalogue()
        except ValueError as error:
            number = NAMES.index(name) + 1
            yield Problem(number, f"{name} is not valid: {error}.", _SETTINGS[number - 1].hint)


def _settings() -> Settings:
    values = [setting.parse(_value(setting)) for setting in _SETTINGS]
    names = (field.name for field in fields(Settings))
    return Settings(**dict(zip(names, values, strict=True)))


def unknown_names() -> list[str]:
    """Settings that begin with RELAY_ and are none of ours: most likely misspelt."""
    return sorted(
        name for name in dir(django_settings) if name.startswith("RELAY_") and name not in NAMES
    )


def _value(setting: _Setting) -> Any:
    return getattr(django_settings, setting.name, setting.default)
