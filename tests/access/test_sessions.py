"""Sessions of Django: how long a stream lasts by one, and that looking does not change it."""

import pytest
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from pytest_django import Settings

from relay.access.identity import session_viewer
from tests.support.client import Stream, ask
from tests.support.servers import HubProcess, StartHub
from tests.support.site import Site


def test_a_stream_ends_when_its_session_does(start_hub: StartHub, site: Site) -> None:
    hub = start_hub(**site.env)
    cookie = site.run(
        "import datetime; from django.utils import timezone\n"
        "from django.contrib.sessions.models import Session\n"
        f"row = Session.objects.get(pk='{site.people['bob'].session}')\n"
        "row.pk = 'b' * 32; row.expire_date = timezone.now() + datetime.timedelta(seconds=4)\n"
        "row.save(); print(row.pk)"
    )
    headers = {"Cookie": f"sessionid={cookie}"}
    with Stream(hub.url, "/stream/?channel=orders.7", headers=headers, timeout=10) as stream:
        assert list(stream.events()) == []  # it ends, by itself
        assert stream.lines[-2].startswith(b"retry: ")
    assert ask(hub.url, "/stream/?channel=orders.7", headers=headers).status == 401


def test_a_cookie_that_is_replayed_after_the_user_signed_out_is_nobodys(
    site: Site, served: HubProcess
) -> None:
    sessions = (
        "from importlib import import_module\n"
        "from django.conf import settings\n"
        "from django.contrib.auth import logout\n"
        "from django.http import HttpRequest\n"
        "Store = import_module(settings.SESSION_ENGINE).SessionStore\n"
    )
    cookie = site.run(
        f"{sessions}session = Store()\n"
        f"session.update(Store('{site.people['eve'].session}').load())\n"
        "session.save(); print(session.session_key)"
    )
    headers = {"Cookie": f"sessionid={cookie}"}
    assert ask(served.url, "/stream/?channel=orders.7", headers=headers).status == 200
    site.run(
        f"{sessions}request = HttpRequest(); request.session = Store('{cookie}')\nlogout(request)"
    )
    assert ask(served.url, "/stream/?channel=orders.7", headers=headers).status == 401


@pytest.mark.django_db(transaction=True)
async def test_looking_at_a_session_does_not_change_it(settings: Settings) -> None:
    settings.SECRET_KEY = "the old key"
    user = await User.objects.acreate_user("kim", password="pw")
    session = SessionStore()
    await session.aset(SESSION_KEY, str(user.pk))
    await session.aset(BACKEND_SESSION_KEY, settings.AUTHENTICATION_BACKENDS[0])
    await session.aset(HASH_SESSION_KEY, user.get_session_auth_hash())
    await session.asave()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new key", ["the old key"]
    for _ in range(2):
        viewer = await session_viewer(session.session_key or "")
        assert viewer.key == str(user.pk)
