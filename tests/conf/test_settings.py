"""Every setting: its default, its bounds, its check, its place in the documentation."""

import re
from pathlib import Path

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from relay import conf

DOCS = Path(__file__).resolve().parents[2] / "docs"

WRONG = {
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
}
NUMBERS = [
    name.lower().removeprefix("relay_")
    for name, default in conf.DEFAULTS.items()
    if isinstance(default, int | float)
]
WRONG_NUMBERS = ["", "x", "-1", "1e400", "nan", None, True, [], "10000000000000"]
"""No number setting takes any of these."""


def relay_checks() -> list[tuple[str, str]]:
    return [(str(m.id), str(m.msg)) for m in run_checks() if str(m.id).startswith("relay.")]


def test_the_defaults_are_valid() -> None:
    assert relay_checks() == []
    settings = conf.load()
    assert (settings.channel, settings.heartbeat_seconds) == ("demo_stream", 15.0)


@pytest.mark.parametrize("number", range(1, len(conf.NAMES) + 1))
def test_a_wrong_value_fails_its_check_with_its_id_and_hint(
    settings: Settings, number: int
) -> None:
    name = conf.NAMES[number - 1]
    for value in WRONG.get(name, WRONG_NUMBERS):
        setattr(settings, name, value)
        [message] = [m for m in run_checks() if str(m.id).startswith("relay.")]
        assert message.id == f"relay.E{number:03}"
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


def test_a_misspelt_name_is_a_warning(settings: Settings) -> None:
    settings.RELAY_RING_EVENT = 5
    [message] = [m for m in run_checks() if str(m.id).startswith("relay.")]
    assert (message.id, message.hint) == ("relay.W001", "Did you mean RELAY_RING_EVENTS?")


def test_every_setting_has_its_heading_and_its_default_in_the_documentation() -> None:
    text = (DOCS / "settings.md").read_text()
    headings = re.findall(r"^### `(\w+)`", text, re.MULTILINE)
    own = ["SECRET_KEY", "DEBUG", "ALLOWED_HOSTS", "HOST", "PORT"]
    own += ["DATABASE_URL", "SECURE_COOKIES", "CSRF_TRUSTED_ORIGINS"]
    assert sorted(headings) == sorted([*conf.NAMES, *own])
    for name, default in conf.DEFAULTS.items():
        section = text.split(f"### `{name}`")[1].split("\n### ")[0]
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        assert f"Default: `{shown}`" in section, name
