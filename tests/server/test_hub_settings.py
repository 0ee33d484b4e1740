"""The settings of the hub's own project, as they come from the environment, and its log."""

import json
import logging
import os
import subprocess
import sys

import pytest
from django.test import RequestFactory
from django.views.debug import get_default_exception_reporter_filter, technical_500_response
from pytest_django import Settings

from hub.logs import JsonFormatter, SecretFilter
from tests.support.servers import ROOT

SHOW = """
import json, logging, os
import django
os.environ["DJANGO_SETTINGS_MODULE"] = "hub.settings"
django.setup()
from django.conf import settings
logger = logging.getLogger("django.request")
logger.error("a view failed")
logger.error("Redis is away", extra={"status_code": 503})
names = ["SECRET_KEY", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "LOG_LEVEL"]
print(json.dumps({name: getattr(settings, name) for name in names}))
"""


def settings_of(before: str = "", **env: str) -> tuple[dict[str, object], str]:
    """The settings, after code that is executed before; CalledProcessError where they are refused."""
    done = subprocess.run(
        [sys.executable, "-c", before + SHOW],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout), done.stderr


def test_a_secret_key_is_taken_as_it_is_and_lists_may_have_spaces() -> None:
    key = "$x" + "2345678901" * 5
    found, log = settings_of(
        SECRET_KEY=key,
        ALLOWED_HOSTS="hub.example.org, 127.0.0.1",
        CSRF_TRUSTED_ORIGINS=" https://a.example , https://b.example",
    )
    assert found["SECRET_KEY"] == key
    assert found["ALLOWED_HOSTS"] == ["hub.example.org", "127.0.0.1"]
    assert found["CSRF_TRUSTED_ORIGINS"] == ["https://a.example", "https://b.example"]
    assert "ERROR django.request: a view failed" in log
    assert "Redis is away" not in log  # the listener has said so


def test_the_log_may_be_json_and_of_another_level() -> None:
    found, log = settings_of(SECRET_KEY="x", LOG_JSON="1", LOG_LEVEL="error")
    entry = json.loads(log)
    assert (entry["level"], entry["logger"], entry["message"]) == (
        "ERROR",
        "django.request",
        "a view failed",
    )
    assert found["LOG_LEVEL"] == "ERROR"


def test_a_line_of_the_log_is_one_json_object() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord("relay", 40, "", 0, "é %s", ("x",), sys.exc_info())
    line = JsonFormatter().format(record)
    assert "\n" not in line
    entry = json.loads(line)
    assert (entry["level"], entry["logger"], entry["message"]) == ("ERROR", "relay", "é x")
    assert "ValueError: two" in entry["traceback"]
    assert entry["process"] == os.getpid()
    assert entry["time"].endswith("+00:00")


def test_a_line_has_the_fields_of_its_stream_and_nothing_else_that_it_carries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HUB_WORKER", "3")
    record = logging.LogRecord("relay", 20, "", 0, "text", (), None)
    known = {"stream": "7f", "channels": ["a\u2028b"], "user": "\ud800", "client": "192.0.2.1"}
    record.__dict__ |= {**known, "request_id": "", "request": "a request", "password": PASSWORD}
    line = JsonFormatter().format(record)
    assert line.isascii()
    entry = json.loads(line)
    plain = {"time", "level", "logger", "message", "process"}
    assert {name: entry[name] for name in entry.keys() - plain} == {"worker": 3, **known}
    record.__dict__["worker"] = 2
    assert json.loads(JsonFormatter().format(record))["worker"] == 2, "a line about a worker"
    monkeypatch.setenv("HUB_WORKER", "three")
    del record.__dict__["worker"]
    assert "worker" not in json.loads(JsonFormatter().format(record))


PASSWORD = "hunter" + "2"
POSTGRES = f"postgres://hub:{PASSWORD}@db.example.org/hub"


def error_page() -> str:
    """What DEBUG shows of an error. It has the code around it and the variables as well."""
    try:
        raise ValueError("a bug")
    except ValueError:
        page = technical_500_response(RequestFactory().get("/"), *sys.exc_info())
    return page.content.decode()


def test_the_driver_of_postgresql_is_asked_for_at_once() -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        settings_of("import sys; sys.modules['psycopg'] = None", DATABASE_URL=POSTGRES)
    last = refused.value.stderr.splitlines()[-1]
    assert last.endswith("Run: pip install 'relay-hub[postgres]'.")
    assert PASSWORD not in refused.value.stderr


def test_with_the_driver_postgresql_is_taken() -> None:
    pytest.importorskip("psycopg")
    load = "from django.db import connection; assert connection.vendor == 'postgresql'\n"
    settings_of(DATABASE_URL=POSTGRES)
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", load],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": POSTGRES},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_error_page_of_debug_hides_what_the_settings_hide(settings: Settings) -> None:
    settings.DEBUG = True
    settings.REDIS_URL = f"redis://:{PASSWORD}@127.0.0.1/0"
    settings.CHANNEL_LAYERS = {"default": {"CONFIG": {"hosts": [settings.REDIS_URL]}}}
    assert isinstance(get_default_exception_reporter_filter(), SecretFilter)
    text = error_page()
    assert "a bug" in text
    assert "REDIS_URL" in text
    assert PASSWORD not in text


def test_an_error_page_shows_no_password_of_redis() -> None:
    url = f"redis://:{PASSWORD}@127.0.0.1/0"
    layers = {"default": {"CONFIG": {"hosts": [url]}}}
    hidden = SecretFilter()
    shown = [
        hidden.cleanse_setting("CHANNEL_LAYERS", layers),
        hidden.cleanse_setting("REDIS_URL", url),
    ]
    assert PASSWORD not in str(shown)
    assert hidden.cleanse_setting("ALLOWED_HOSTS", ["a.org"]) == ["a.org"]
