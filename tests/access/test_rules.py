"""A site's own rules: what they are given, what counts as yes, and how they say no."""

import contextlib
import logging
from collections.abc import Callable
from functools import partial, wraps
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.http import Http404
from pytest_django import Settings

from relay.access import rules
from relay.access.identity import Viewer
from relay.access.log_fields import request_fields
from relay.access.problem import Problem
from relay.access.rules import require
from relay.conf.catalogue import Catalogue, Spec, Target

VIEWER = Viewer(AnonymousUser(), "ann")


def target_of(rule: Any, pattern: str = "order.{pk}", name: str = "order.7") -> Target:
    target = Catalogue([Spec(pattern, rule, 1, 1, 1000)], "relay").find(name)
    assert target is not None
    return target


async def admits(rule: Any, viewer: Viewer = VIEWER, **named: str) -> bool:
    try:
        await require(viewer, target_of(rule, **named), {"type": "http"})
    except Problem:
        return False
    return True


async def test_a_rule_gets_the_user_the_channel_with_its_fields_and_the_scope() -> None:
    given: list[Any] = []

    def rule(user: Any, channel: Target, scope: Any) -> bool:
        given.extend([user, channel.name, dict(channel.fields), scope])
        return True

    assert await admits(rule, pattern="shop.{shop}.order.{pk}", name="shop.eu.order.7")
    assert given == [VIEWER.user, "shop.eu.order.7", {"shop": "eu", "pk": "7"}, {"type": "http"}]


@pytest.mark.django_db(transaction=True)
async def test_a_rule_may_go_by_a_relation(caplog: pytest.LogCaptureFixture) -> None:
    """As the documentation shows it: `order.abc` is no order, and leaves no traceback."""

    def belongs(user: User, channel: Target, scope: object) -> bool:
        return user.groups.filter(pk=channel.fields["pk"]).exists()

    user = await User.objects.acreate_user("ann")
    mine, other = [await Group.objects.acreate(name=name) for name in ("mine", "other")]
    await user.groups.aadd(mine)
    viewer = Viewer(user, str(user.pk))
    assert await admits(belongs, viewer, name=f"order.{mine.pk}")
    assert not await admits(belongs, viewer, name=f"order.{other.pk}")
    assert not await admits(belongs, viewer, name="order.abc")
    assert caplog.records == []


def returning_nothing_but_a_mistake(user: Any, channel: Target, scope: Any) -> bool:
    raise KeyError("a mistake")


def with_a_denial(user: Any, channel: Target, scope: Any) -> bool:
    raise PermissionDenied


# -- only True is yes


def returning(value: Any) -> Callable[..., Any]:
    return lambda user, channel, scope: value


async def yes(user: Any, channel: Target, scope: Any) -> bool:
    return True


async def one(user: Any, channel: Target, scope: Any) -> int:
    return 1


def decorated(rule: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that does not know of async functions."""

    @wraps(rule)
    def wrapper(*args: Any) -> Any:
        return rule(*args)

    return wrapper


class Callable_:
    async def __call__(self, user: Any, channel: Target, scope: Any) -> bool:
        return True


@pytest.mark.parametrize(
    "rule",
    [returning(True), yes, decorated(yes), partial(yes), Callable_(), decorated(Callable_())],
    ids=["sync", "async", "decorated async", "partial", "async object", "decorated object"],
)
async def test_true_lets_in_however_it_is_returned(rule: Any) -> None:
    assert await admits(rule)


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        (returning((False, "why")), "tuple"),
        (returning(1), "int"),
        (returning("no"), "str"),
        (returning(object()), "object"),
        (returning(None), "NoneType"),
        (one, "int"),
        (decorated(one), "int"),
    ],
)
async def test_nothing_but_true_lets_in(
    rule: Any, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert not await admits(rule)
    text = f"The access rule of order.{{pk}} returned {kind}; only True lets in."
    assert [record.getMessage() for record in caplog.records] == [text]


# -- how a rule says no


@pytest.mark.parametrize(
    "denial",
    [PermissionDenied, Http404, ObjectDoesNotExist, User.DoesNotExist, ValueError]
    + [partial(ValidationError, "no UUID"), UnicodeError],
)
@pytest.mark.parametrize("is_async", [False, True])
async def test_what_a_client_can_cause_is_a_quiet_no(
    denial: Callable[[], Exception], is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def rule(user: Any, channel: Target, scope: Any) -> bool:
        raise denial()

    async def async_rule(user: Any, channel: Target, scope: Any) -> bool:
        raise denial()

    with caplog.at_level(logging.DEBUG, "relay"):
        assert not await admits(async_rule if is_async else rule)
    [record] = caplog.records
    assert record.levelname == "DEBUG"
    kind = type(denial()).__name__
    assert record.getMessage() == f"The access rule of order.{{pk}} refused with {kind}."
    assert record.exc_info is None


@pytest.mark.parametrize("error", [KeyError, TypeError, AttributeError, RuntimeError])
async def test_any_other_error_refuses_with_its_traceback(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    def rule(user: Any, channel: Target, scope: Any) -> bool:
        raise error("a mistake")

    assert not await admits(rule)
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage() == "The access rule of order.{pk} failed; nobody gets in by it."
    assert record.exc_info is not None


@pytest.mark.parametrize("rule", [returning(1), returning_nothing_but_a_mistake, with_a_denial])
async def test_a_line_about_a_rule_carries_who_asked_for_what(
    rule: Any, caplog: pytest.LogCaptureFixture, settings: Settings
) -> None:
    settings.RELAY_TRUSTED_PROXIES = ["192.0.2.0/24"]
    headers = [
        (b"x-forwarded-for", b"203.0.113.9, 198.51.100.7"),
        (b"x-request-id", b"proxy-1.a"),
        (b"x-forwarded-for", b"192.0.2.2"),
    ]
    scope = {"type": "http", "client": ("192.0.2.1", 5), "headers": headers}
    with caplog.at_level(logging.DEBUG, "relay"), contextlib.suppress(Problem):
        await require(VIEWER, target_of(rule), scope)
    [record] = caplog.records
    assert {
        name: record.__dict__[name] for name in ("channels", "user", "client", "request_id")
    } == {
        "channels": ["order.7"],
        "user": "ann",
        "client": "198.51.100.7",
        "request_id": "proxy-1.a",
    }


@pytest.mark.parametrize(
    "sent", [b"", b"two words", b"x" * 129, b"a\nb", b"\xff", "\u0661".encode()]
)
def test_an_id_of_a_request_that_no_proxy_makes_is_left_out(sent: bytes) -> None:
    scope = {"type": "http", "client": None, "headers": [(b"x-request-id", sent)]}
    assert request_fields(scope) == {}


async def no_questions(user: Any, channel: Target, scope: Any) -> bool:
    return True


async def with_a_question(user: Any, channel: Target, scope: Any) -> bool:
    return await sync_to_async(lambda: True)()


@pytest.mark.parametrize(("rule", "closed"), [(no_questions, 0), (with_a_question, 1)])
async def test_an_asynchronous_rule_leaves_no_connection_to_the_database_behind(
    rule: Any, closed: int
) -> None:
    """Its queries have a thread of their own, which Django does not know of."""
    with mock.patch.object(rules, "close_old_connections") as close:
        assert await admits(rule)
    assert close.call_count == closed
