"""What is done to a user in Django kicks that user."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import alogout
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from django.http import HttpRequest
from django.test import Client
from pytest_django import Settings

from relay.control import signals


@pytest.fixture
def kicked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The users who were kicked."""
    users: list[str] = []
    monkeypatch.setattr(signals, "kick", lambda user: users.append(user))
    return users


@pytest.fixture
def ann(transactional_db: None) -> User:
    return User.objects.create_user("ann", password="pw")


def test_signing_out_kicks(ann: User, kicked: list[str], client: Client) -> None:
    client.force_login(ann)
    assert kicked == []
    client.logout()
    assert kicked == [str(ann.pk)]
    client.logout()
    assert kicked == [str(ann.pk)], "nobody was signed in"


async def test_signing_out_asynchronously_kicks(ann: User, kicked: list[str]) -> None:
    request = HttpRequest()
    request.session = SessionStore()

    async def auser() -> User:
        return ann

    request.auser = auser
    await alogout(request)
    assert kicked == [str(ann.pk)]


def _set_password(user: User) -> None:
    user.set_password("another")
    user.save()


def _set_unusable_password(user: User) -> None:
    user.set_unusable_password()
    user.save()


CHANGED: dict[str, Callable[[User], object]] = {
    "deactivated": lambda user: _change(user, is_active=False).save(),
    "deactivated, that field": lambda user: _change(user, is_active=False).save(
        update_fields=["is_active"]
    ),
    "password": _set_password,
    "unusable password": _set_unusable_password,
    "deleted": lambda user: user.delete(),
    "deleted with others": lambda user: User.objects.all().delete(),
}


def _change(user: User, **values: object) -> User:
    for name, value in values.items():
        setattr(user, name, value)
    return user


@pytest.mark.parametrize("change", CHANGED)
def test_a_change_kicks_once_after_the_commit(ann: User, kicked: list[str], change: str) -> None:
    key = str(ann.pk)
    user = User.objects.get(pk=ann.pk)
    with contextlib.suppress(RuntimeError), transaction.atomic():
        CHANGED[change](user)
        raise RuntimeError("rolled back")
    assert kicked == []
    user = User.objects.get(pk=key)
    with transaction.atomic():
        CHANGED[change](user)
        assert kicked == []
    assert kicked == [key]
    if "deleted" not in change:
        user.save()
        assert kicked == [key]


def test_without_a_transaction_the_row_is_written_before_the_kick(
    ann: User, kicked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    active: list[bool] = []
    monkeypatch.setattr(
        signals, "kick", lambda user: active.append(User.objects.get(pk=user).is_active)
    )
    _change(ann, is_active=False).save()
    assert active == [False]


OTHER: dict[str, Callable[[User], object]] = {
    "a name": lambda user: _change(user, first_name="Ann").save(),
    "activated": lambda user: _change(user, is_active=True).save(),
    "a new one": lambda user: User.objects.create_user("bob", password="pw"),
    "not written": lambda user: _change(user, is_active=False).save(update_fields=["email"]),
    "only some loaded": lambda user: User.objects.only("username").get(pk=user.pk).save(),
}


@pytest.mark.parametrize("change", OTHER)
def test_other_changes_kick_nobody(ann: User, kicked: list[str], change: str) -> None:
    OTHER[change](User.objects.get(pk=ann.pk))
    assert kicked == []


def test_signing_in_and_other_models_cost_no_query(
    ann: User, kicked: list[str], django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        ann.save(update_fields=["last_login"])
    with django_assert_num_queries(1):
        Group.objects.create(name="g")
    with django_assert_num_queries(2):
        ann.save()


def test_a_kick_that_fails_does_not_keep_anybody_signed_in(
    ann: User,
    client: Client,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    client.force_login(ann)
    client.logout()
    assert "sessionid" not in client.cookies
    [record] = caplog.records
    assert record.message.startswith(f"The streams of user {ann.pk} could not be ended: Redis ")
    assert record.levelname == "ERROR"
