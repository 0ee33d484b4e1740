"""The settings of the hub's own project, as they come from the environment."""

import json
import os
import subprocess
import sys

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
names = ["SECRET_KEY", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS"]
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
