"""A site with users for the tests: a migrated database, people, and their sessions."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import ROOT

TOKEN_KEY = "a key for tests only, long enough"

_SETUP = """
import json, sys
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.models import Permission
from django.core.management import call_command
call_command("migrate", verbosity=0)
User = get_user_model()
people = {}
for name in ["ann", "bob", "eve"]:
    user = User.objects.create_user(name, password="pw-" + name, is_superuser=name == "eve")
    if name == "bob":
        user.user_permissions.add(Permission.objects.get(codename="view_session"))
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    people[name] = [str(user.pk), session.session_key]
print(json.dumps(people))
"""


@dataclass(frozen=True)
class Person:
    pk: str
    session: str

    @property
    def cookie(self) -> str:
        return f"sessionid={self.session}"


class Site:
    """Environment for hubs that share one database; `people` are ann, bob (a permission) and eve."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.env = {
            "DATABASE_URL": f"sqlite:///{folder / 'site.sqlite3'}",
            "RELAY_TOKEN_KEY": TOKEN_KEY,
            **settings,
        }
        found = json.loads(self.run(_SETUP))
        self.people = {name: Person(*keys) for name, keys in found.items()}

    def run(self, code: str) -> str:
        """What Python code in the site's Django prints."""
        return self.manage("shell", "-v0", "-c", code)

    def manage(self, *words: str) -> str:
        """What `manage.py` prints."""
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout.strip()
