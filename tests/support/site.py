"""A site with users for the tests: a migrated database, people, and their sessions."""

import fcntl
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.support.command import manage_command
from tests.support.tokens import TOKEN_KEY

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


def run_manage(
    *words: str, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`manage.py` with these words and this environment; `check` that it succeeds."""
    done = manage_command(words, {**os.environ, **environment})
    if check:
        done.check_returncode()
    return done


@dataclass(frozen=True)
class Person:
    pk: str
    session: str

    @property
    def cookie(self) -> str:
        return f"sessionid={self.session}"


@dataclass(frozen=True)
class Site:
    """Environment for hubs that share one database; `people` are ann, bob (a permission) and eve."""

    env: dict[str, Any]
    people: dict[str, Person]

    def run(self, code: str) -> str:
        """What Python code in the site's Django prints."""
        return self.manage("shell", "-v0", "-c", code)

    def manage(self, *words: str) -> str:
        """What `manage.py` prints."""
        return run_manage(*words, **self.env).stdout.strip()


class MakeSite(Protocol):
    """The fixture `make_site`: a site with a database of its own, and settings as keywords."""

    def __call__(self, **settings: str) -> Site: ...


class SiteTemplate:
    """A migrated database with people, made once in a test run and copied for each site."""

    def __init__(self, folder: Path) -> None:
        self._database = folder / "template.sqlite3"
        self._people = folder / "template.json"
        with (folder / "template.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the processes of pytest-xdist share it
            if not self._people.exists():
                self._make()

    def copy(self, folder: Path, **settings: str) -> Site:
        database = folder / "site.sqlite3"
        shutil.copy(self._database, database)
        people = json.loads(self._people.read_text())
        env = {"DATABASE_URL": f"sqlite:///{database}", "RELAY_TOKEN_KEY": TOKEN_KEY, **settings}
        return Site(env, {name: Person(*keys) for name, keys in people.items()})

    def _make(self) -> None:
        url = f"sqlite:///{self._database}"
        found = run_manage("shell", "-v0", "-c", _SETUP, DATABASE_URL=url)
        self._people.write_text(found.stdout)
