"""Every setting: its default, its bounds, its check, its place in the documentation."""

import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db.utils import ConnectionHandler
from pytest_django import Settings

from relay import checks, conf
from relay.conf.table import TABLE

DOCS = Path(__file__).resolve().parents[2] / "docs"

WRONG: dict[str, list[object]] = {
    "REDIS_URL": ["", "127.0.0.1", "http://127.0.0.1", "redis://h:port/0", None],
    "RELAY_CHANNEL": ["", "a\nb", "a b", "a*", "asgi.x", "x" * 256, b"bytes", None],
    "RELAY_PREFIX": ["", "a b", "{x}", "x" * 65, b"bytes", None],
    "RELAY_CHANNELS": [
        "a=b",
        "a=",
        "a a=signed-in",
        "x.{a}.{a}",
        "x.*=owner",
        "*",
        "__key*",
        {"a": {"x": 1}},
        {"a": None},
        5,
        None,
    ],
    "RELAY_ALLOWED_ORIGINS": ["example.com", "*", "https://", "https://a b", 5, None],
    "RELAY_TRUSTED_PROXIES": ["all", "10.0.0.0/33", "10.0.0.1/8", 5, None],
    "RELAY_TOKEN_KEY": ["short", b"bytes", None],
    "RELAY_TOKEN_JWKS": ["x", "{}", '{"keys": []}', '{"keys": [{"kty": "oct"}]}', 5],
    "RELAY_TOKEN_AUDIENCE": ["", 5, None],
    "RELAY_HTTP_PUBLISH": ["", "x", "2", None, []],
    "RELAY_OPERATOR_LINK": ["", "x", "2", None, []],
    "RELAY_ADMIN_ADDRESS": [
        "9464",
        "127.0.0.1",
        ":9464",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "::1:9464",
        "[127.0.0.1]:9464",
        "[::g]:9464",
        "http://127.0.0.1:9464",
        "a b:9464",
        9464,
        b"127.0.0.1:9464",
        None,
    ],
    "RELAY_STREAM_PATH": ["", "/", "a b/", "a//b", "stream/?", b"bytes", None],
}
NUMBERS = [
    name.lower().removeprefix("relay_")
    for name, default in conf.DEFAULTS.items()
    if isinstance(default, int | float)
]
WRONG_NUMBERS: list[object] = ["", "x", "-1", "1e400", "nan", None, True, [], "10000000000000"]
"""No number setting takes any of these."""


def relay_checks() -> list[tuple[str, str]]:
    return [(str(m.id), str(m.msg)) for m in run_checks() if str(m.id).startswith("relay.")]


def test_the_defaults_are_valid() -> None:
    assert relay_checks() == []
    settings = conf.load()
    assert (settings.channel, settings.heartbeat_seconds) == ("demo_stream", 15.0)


@pytest.mark.parametrize("name", conf.NAMES)
def test_a_wrong_value_fails_its_check_with_its_id_and_hint(settings: Settings, name: str) -> None:
    for value in WRONG.get(name, WRONG_NUMBERS):
        setattr(settings, name, value)
        [message] = [m for m in run_checks() if str(m.id).startswith("relay.")]
        assert message.id == conf.find_setting(name).check
        assert f"{name} is not valid" in message.msg
        assert message.hint
        with pytest.raises(ValueError, match=f"^{name} is not valid"):
            conf.load()


@pytest.mark.parametrize("name", [n for n in conf.NAMES if n not in WRONG])
def test_text_from_the_environment_is_as_good_as_a_number(settings: Settings, name: str) -> None:
    before = conf.load()
    setattr(settings, name, f" {conf.DEFAULTS[name]} ")
    assert relay_checks() == []
    after = conf.load()
    assert [getattr(after, f) for f in NUMBERS] == [getattr(before, f) for f in NUMBERS]


@pytest.mark.parametrize("name", conf.SECRETS)
def test_a_secret_is_never_shown(settings: Settings, name: str) -> None:
    setattr(settings, name, "http://:s3cret@h")
    assert len(relay_checks()) == 1
    assert "s3cret" not in str(relay_checks())


def test_a_rule_that_names_no_function_fails_the_check(settings: Settings) -> None:
    settings.RELAY_CHANNELS = {"a": {"access": "tests.support.rules.named_ann"}}
    assert relay_checks() == []
    for path in ("tests.support.rules.missing", "nowhere.rule"):
        settings.RELAY_CHANNELS = {"a": {"access": "public"}, "b.*": {"wildcard": path}}
        [(number, text)] = relay_checks()
        assert number == "relay.E015"
        assert "the rule of 'b.*' is not there" in text


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        (
            {"a": {"access": "public"}, "b.*": {"acess": "public"}},
            "'acess' of 'b.*' is no key of an entry; did you mean 'access'?",
        ),
        ({"b": {"history": 5}}, "'history' of 'b' is no key of an entry; did you mean 'history_"),
        ({"b": {"zzz": 5}}, "'zzz' of 'b' is no key of an entry."),
        ({"b": {"access": "signedin"}}, "access of 'b' is not valid: 'signedin'; did you mean 's"),
        ({"b": {"always": 1}}, "always of 'b' is not valid: 1."),
        ({"b": "public"}, "the entry of 'b' is no dictionary: 'public'."),
        ({5: {}}, "5 is no channel name or pattern."),
        ("b b=public", "'b' is there twice."),
        ({"b": {"source": "steam"}}, "source of 'b' is not valid: 'steam'; did you mean 'stream'?"),
        ("b=public+list", "source of 'b' is not valid: 'list'."),
        (
            {"b.*": {"source": "stream", "wildcard": "public"}},
            "'b.*' has a wildcard, and Redis cannot read streams by a pattern: remove wildcard,",
        ),
    ],
)
def test_a_wrong_entry_is_named_and_no_other(
    settings: Settings, channels: object, said: str
) -> None:
    settings.RELAY_CHANNELS = channels
    [(number, text)] = relay_checks()
    assert number == "relay.E015"
    assert text.startswith(f"RELAY_CHANNELS is not valid: {said}")
    assert "'a'" not in text


@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        ("perm:auth.view_usr", "Did you mean auth.view_user?"),
        ("perm:shop.nothing", "Name it as app_label.codename."),
    ],
)
def test_a_permission_that_no_model_has_is_a_warning(
    settings: Settings, rule: str, hint: str
) -> None:
    settings.RELAY_CHANNELS = {"a": {"access": "perm:relay.publish"}, "b.*": {"wildcard": rule}}
    [message] = [m for m in run_checks() if str(m.id).startswith("relay.")]
    assert (message.id, message.hint) == ("relay.W002", hint)
    assert "'b.*'" in message.msg


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ({}, "There is no channel layer."),
        (
            {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
            "The channel layer is in memory.",
        ),
    ],
)
def test_a_channel_layer_that_others_do_not_hear_is_no_error(
    settings: Settings, layers: object, said: str
) -> None:
    settings.CHANNEL_LAYERS = layers
    [message] = [m for m in run_checks() if str(m.id).startswith("relay.")]
    assert (message.id, message.msg) == ("relay.I001", said)
    assert not message.is_serious()


def test_a_wsgi_application_cannot_be_the_asgi_application(settings: Settings) -> None:
    for path in ("mysite.wsgi.application", "mysite.served.by_wsgi"):
        settings.ASGI_APPLICATION = path
        settings.WSGI_APPLICATION = "mysite.served.by_wsgi"
        [(number, text)] = relay_checks()
        assert number == "relay.E101"
        assert repr(path) in text
    settings.ASGI_APPLICATION = "mysite.asgi.application"
    assert relay_checks() == []


def test_the_driver_of_every_database_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    databases = {
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
        "archive": {"ENGINE": "tests.support.no_driver"},
    }
    monkeypatch.setattr(checks, "connections", ConnectionHandler(databases))
    [message] = checks.check_database_drivers(None)
    assert (message.id, "'archive'" in message.msg) == ("relay.E102", True)
    assert "relay-hub[postgres]" in str(message.hint)


def test_sessions_in_sqlite_are_a_warning_before_a_deployment(settings: Settings) -> None:
    def found() -> list[str | None]:
        messages = run_checks(include_deployment_checks=True, databases=["default"])
        return [m.id for m in messages if str(m.id).startswith("relay.")]

    assert found() == ["relay.W003"]
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    assert found() == []


def test_a_check_and_a_field_belong_to_one_setting_each() -> None:
    assert len({row.check for row in TABLE}) == len(TABLE)
    assert [row.field for row in TABLE] == [field.name for field in fields(conf.Settings)]
    assert conf.load().heartbeat_seconds == conf.DEFAULTS["RELAY_HEARTBEAT_SECONDS"]


@pytest.mark.parametrize("path", ["live/stream", "/live/stream/", "live/stream/"])
def test_the_slashes_around_the_path_of_streams_do_not_matter(
    settings: Settings, path: str
) -> None:
    settings.RELAY_STREAM_PATH = path
    assert conf.load().stream_path == "live/stream/"


def test_a_misspelt_name_is_a_warning(settings: Settings) -> None:
    settings.RELAY_RING_EVENT = 5
    [message] = [m for m in run_checks() if str(m.id).startswith("relay.")]
    assert (message.id, message.hint) == ("relay.W001", "Did you mean RELAY_RING_EVENTS?")


def test_every_setting_has_its_heading_and_its_default_in_the_documentation() -> None:
    text = (DOCS / "settings.md").read_text()
    headings = re.findall(r"^### `(\w+)`", text, re.MULTILINE)
    own = ["SECRET_KEY", "DEBUG", "ALLOWED_HOSTS", "HOST", "PORT"]
    own += ["DATABASE_URL", "SECURE_COOKIES", "CSRF_TRUSTED_ORIGINS", "LOG_LEVEL", "LOG_JSON"]
    assert sorted(headings) == sorted([*conf.NAMES, *own])
    for name, default in conf.DEFAULTS.items():
        section = text.split(f"### `{name}`")[1].split("\n### ")[0]
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        assert f"Default: `{shown}`" in section, name


@pytest.mark.parametrize(
    ("url", "channels", "said"),
    [
        ("redis://127.0.0.1:6379/0", {}, "sharded channels need REDIS_URL=redis+cluster://"),
        ("redis+sentinel://h/live", {}, "sharded channels need REDIS_URL=redis+cluster://"),
        (
            "redis+cluster://h",
            {"orders.*": {"access": "public", "wildcard": "public"}},
            "have no wildcards, as orders.* has",
        ),
    ],
)
def test_sharded_channels_need_a_cluster_and_have_no_wildcards(
    settings: Any, url: str, channels: dict[str, Any], said: str
) -> None:
    settings.REDIS_URL, settings.RELAY_CHANNELS, settings.RELAY_PUBSUB = url, channels, "sharded"
    [invalid] = conf.find_invalid()
    assert (invalid.check, said in invalid.text) == ("relay.E035", True), invalid.text


def test_the_admin_address_should_be_loopback(settings: Settings) -> None:
    for text in ("127.0.0.1:9464", " [::1]:9464 ", "localhost:1", "127.8.0.1:65535", ""):
        settings.RELAY_ADMIN_ADDRESS = text
        assert relay_checks() == []
    for text in ("0.0.0.0:9464", "[::]:9464", "10.0.0.1:9464", "hub.example.org:9464"):
        settings.RELAY_ADMIN_ADDRESS = text
        [(number, said)] = relay_checks()
        assert number == "relay.W004"
        assert text in said


def test_the_admin_address_needs_its_library(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert relay_checks() == []
    settings.RELAY_ADMIN_ADDRESS = "127.0.0.1:9464"
    [message] = [m for m in run_checks() if str(m.id).startswith("relay.")]
    assert message.id == "relay.E103"
    assert "relay-hub[metrics]" in str(message.hint)
