"""The settings of the hub's own project, as they come from the environment, and its log."""

import json
import logging
import os
import subprocess
import sys

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


def settings_of(**env: str) -> tuple[dict[str, object], str]:
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
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


def test_an_error_page_shows_no_password_of_redis() -> None:
    url = "redis://:hunter2@127.0.0.1/0"
    layers = {"default": {"CONFIG": {"hosts": [url]}}}
    hidden = SecretFilter()
    shown = [
        hidden.cleanse_setting("CHANNEL_LAYERS", layers),
        hidden.cleanse_setting("REDIS_URL", url),
    ]
    assert "hunter2" not in str(shown)
    assert hidden.cleanse_setting("ALLOWED_HOSTS", ["a.org"]) == ["a.org"]
