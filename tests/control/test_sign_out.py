"""A sign-out that takes its time, and sessions that disappear without one."""

import os
import subprocess
import sys
import time
from datetime import timedelta
from unittest import mock

import pytest
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from relay.control import kicks, signals
from relay.control.kick import Kick
from relay.control.kick_ledger import HOLD_SECONDS, SIGN_OUT_HOLD_SECONDS, KickLedger
from relay.control.kick_notes import Noted
from tests.control.test_kick_ledger import Owner, Stream
from tests.support.client import Stream as OpenStream
from tests.support.servers import ROOT, RedisServer, StartHub
from tests.support.site import MakeSite
from tests.support.waiting import wait_until, within


@pytest.fixture
def kicked(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> list[str]:
    users: list[str] = []
    signals._signed_out.set(("", 0.0))  # by another test, half a second ago
    monkeypatch.setattr(signals, "kick", lambda user: users.append(user))
    return users


def session(user: str) -> SessionStore:
    store = SessionStore()
    store[SESSION_KEY] = user
    store.save()
    return store


@pytest.mark.parametrize("by_sign_out", [True, False])
def test_a_kick_holds_for_longer_after_a_sign_out(by_sign_out: bool) -> None:
    kick = Kick("7", by_sign_out=by_sign_out)
    assert Kick.decode(kick.encode().encode()) == kick
    ledger = KickLedger(0)
    ledger.note([Noted(kick.encode().encode(), 1000)], 1000, 1.0)
    stream = Stream(Owner("7"))
    assert ledger.reached(stream, 1 + HOLD_SECONDS)
    assert ledger.reached(stream, 1 + HOLD_SECONDS + 0.1) is by_sign_out
    assert ledger.reached(stream, 1 + SIGN_OUT_HOLD_SECONDS) is by_sign_out
    assert not ledger.reached(stream, 1 + SIGN_OUT_HOLD_SECONDS + 0.1)


def test_a_short_kick_does_not_hide_a_sign_out_before_it() -> None:
    ledger = KickLedger(0)
    one, two = Kick("7", by_sign_out=True), Kick("8")
    found = [Noted(kick.encode().encode(), 1000) for kick in (one, two)]
    ledger.note(found, 1000, 1.0)
    assert ledger.reached(Stream(Owner("7")), 4)
    assert not ledger.reached(Stream(Owner("8")), 4)


@pytest.mark.django_db(transaction=True)
def test_signing_out_kicks_for_longer(settings: Settings, redis_server: RedisServer) -> None:
    settings.REDIS_URL = redis_server.url
    client = Client()
    client.force_login(user := User.objects.create_user("ann"))
    client.logout()
    assert noted(redis_server) == {Kick(str(user.pk), by_sign_out=True)}


SIGN_OUT = """
import time
from django.contrib.auth import logout
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest

class Slow(SessionStore):
    def flush(self):
        time.sleep(4)
        super().flush()

request = HttpRequest()
request.user, request.session = User.objects.get(username="ann"), Slow("{session}")
logout(request)
"""


def test_who_is_back_before_a_slow_sign_out_has_ended_the_session_gets_no_stream(
    start_hub: StartHub, redis_server: RedisServer, make_site: MakeSite
) -> None:
    site = make_site(RELAY_CHANNELS="desk=signed-in", REDIS_URL=redis_server.url)
    hub = start_hub(**site.env, redis_url=redis_server.url)
    ann = site.people["ann"]
    code = SIGN_OUT.replace("{session}", ann.session)
    words = [sys.executable, "manage.py", "shell", "-v0", "-c", code]
    with subprocess.Popen(words, cwd=ROOT, env={**os.environ, **site.env}) as signing_out:
        wait_until(lambda: noted(redis_server), "the kick is noted", 20)
        time.sleep(HOLD_SECONDS + 0.3)
        with (
            within(2),
            OpenStream(hub.url, "/stream/?channel=desk", headers={"Cookie": ann.cookie}) as back,
        ):
            assert list(back.events()) == []
        assert signing_out.poll() is None, "the session was still valid"


def noted(redis_server: RedisServer) -> set[Kick | None]:
    """The kicks in Redis."""
    with redis_server.client() as client:
        return {Kick.decode(entry) for entry in client.zrange("relay:{control}:kicks", 0, -1)}


def test_a_session_that_is_deleted_kicks_its_user(kicked: list[str]) -> None:
    session("7").delete()
    session("8").flush()
    session("9")
    Session.objects.all().delete()
    assert kicked == ["7", "8", "9"]


def test_sessions_of_nobody_and_those_that_expired_kick_nobody(kicked: list[str]) -> None:
    anonymous = SessionStore()
    anonymous["a"] = 1
    anonymous.save()
    anonymous.delete()
    session("7")
    Session.objects.update(expire_date=timezone.now() - timedelta(1))
    call_command("clearsessions")
    assert kicked == []


def test_a_kick_needs_no_event_loop_and_no_channel_layer(
    settings: Settings, redis_server: RedisServer
) -> None:
    """Five greenlets of gevent share a thread, and a layer that hangs must not hold up a sign-out."""
    settings.REDIS_URL = redis_server.url
    with mock.patch.object(kicks, "async_to_sync", side_effect=AssertionError):
        assert kicks.kick(user="7") == 0
        assert kicks.kick_at_sign_out("8") == 0
    assert noted(redis_server) == {Kick("7"), Kick("8", by_sign_out=True)}
