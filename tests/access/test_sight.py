"""Which of many channels somebody may see: by the rules of a stream, and with bounded work."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser

from relay.access import sight as module
from relay.access.identity import Viewer
from relay.access.sight import Sight
from relay.conf.catalogue import Catalogue, Rule, Spec, Target


class User:
    """Counts how often it is asked."""

    is_authenticated = True

    def __init__(self) -> None:
        self.asked: list[str] = []

    def has_perm(self, permission: str) -> bool:
        self.asked.append(permission)
        return permission == "shop.yes"


class Question:
    """A function of a site that says yes to some names."""

    def __init__(self, *admitted: str) -> None:
        self.admitted = admitted
        self.asked: list[str] = []

    def __call__(self, user: Any, channel: Target, scope: Any) -> bool:
        self.asked.append(channel.name)
        return channel.name in self.admitted


def failing(user: Any, channel: Target, scope: Any) -> bool:
    raise RuntimeError


def targets(rule: Rule, pattern: str = "room.{user_id}", number: int = 500) -> list[Target]:
    catalogue = Catalogue([Spec(pattern, rule, 1, 1, 1)], "relay")
    found = [catalogue.find(pattern.format(user_id=n, n=n)) for n in range(number)]
    return [target for target in found if target is not None]


SCOPE: Any = {"headers": [], "client": ("127.0.0.1", 1)}
NOBODY = Viewer(AnonymousUser())


def ann() -> Viewer:
    return Viewer(User(), "7")


async def seen(sight: Sight, given: list[Target]) -> list[str]:
    return [target.name async for target in sight.among(given)]


@pytest.mark.parametrize(
    ("rule", "by_nobody", "by_ann"),
    [
        ("public", 500, 500),
        ("signed-in", 0, 500),
        ("owner", 0, 1),
        ("perm:shop.yes", 0, 500),
        ("perm:shop.no", 0, 0),
    ],
)
async def test_the_rules_are_those_of_a_stream(rule: str, by_nobody: int, by_ann: int) -> None:
    user = ann()
    for viewer, number in ((NOBODY, by_nobody), (user, by_ann)):
        assert len(await seen(Sight([viewer], SCOPE), targets(rule))) == number
    assert len(user.user.asked) == rule.startswith("perm:")  # once for all channels


async def test_without_a_viewer_only_public_channels_are_seen() -> None:
    assert len(await seen(Sight([], SCOPE), targets("public"))) == 500
    question = Question("room.1")
    assert await seen(Sight([], SCOPE), targets(question)) == []
    assert question.asked == []


async def test_each_of_several_viewers_may_let_in() -> None:
    one = Viewer(AnonymousUser(), "a", {"channels": ["room.1"]})
    two = Viewer(AnonymousUser(), "b", {"channels": ["room.2*"]})
    names = await seen(Sight([one, two], SCOPE), targets("signed-in", number=30))
    assert names == ["room.1", "room.2", *(f"room.{n}" for n in range(20, 30))]
    assert await seen(Sight([one, ann()], SCOPE), targets("owner")) == ["room.1", "room.7"]


async def test_a_function_is_asked_about_two_hundred_channels_at_most() -> None:
    question = Question("room.3", "room.300")
    sight = Sight([ann()], SCOPE)
    assert await seen(sight, targets(question)) == ["room.3"]
    assert len(question.asked) == module.QUESTIONS
    assert sight.is_cut


async def test_who_is_let_in_to_none_does_not_learn_that_there_are_more() -> None:
    sight = Sight([NOBODY], SCOPE)
    assert await seen(sight, targets(Question("room.300"))) == []
    assert not sight.is_cut


async def test_all_that_were_asked_about_are_no_part() -> None:
    sight = Sight([ann()], SCOPE)
    question = Question("room.3")
    assert await seen(sight, targets(question, number=module.QUESTIONS)) == ["room.3"]
    assert not sight.is_cut


async def test_a_slow_function_is_asked_no_more_when_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = iter(range(1000))
    clock = SimpleNamespace(monotonic=lambda: next(now) * 0.3)
    monkeypatch.setattr(module, "time", clock)
    question = Question("room.0")
    sight = Sight([ann()], SCOPE)
    assert await seen(sight, targets(question)) == ["room.0"]
    assert question.asked == [f"room.{n}" for n in range(4)]  # at 0, 0.3, 0.6 and 0.9 s
    assert sight.is_cut


async def test_a_function_that_fails_is_asked_once_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR, "relay"):
        assert await seen(Sight([ann()], SCOPE), targets(failing)) == []
    assert len(caplog.records) == 1


async def test_a_function_whose_answer_is_not_valid_is_asked_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def truthy(user: Any, channel: Target, scope: Any) -> Any:
        return 1

    with caplog.at_level(logging.ERROR, "relay"):
        assert await seen(Sight([ann()], SCOPE), targets(truthy)) == []
    assert len(caplog.records) == 1


async def test_a_token_is_asked_before_no_function() -> None:
    question = Question("room.1")
    viewer = Viewer(AnonymousUser(), "svc", {"channels": ["room.4"]})
    assert await seen(Sight([viewer], SCOPE), targets(question)) == ["room.4"]
    assert question.asked == []
