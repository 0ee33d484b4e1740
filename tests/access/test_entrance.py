"""Who gets in: unusual users and backends, several cookies, slow rules, pages of other origins."""

import asyncio
import json
import time
import uuid
from typing import Any
from unittest import mock

import jwt
import pytest
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.db import SessionStore
from pytest_django import Settings

from relay import conf
from relay.access import tokens
from relay.access.entrance import admitted
from relay.access.identity import Credentials, Viewer, session_viewer, subject_of
from relay.access.problem import Problem
from relay.access.rules import has_permission, require
from relay.conf.catalogue import Catalogue, Spec, Target
from relay.engine.stream import Owner
from relay.http.admission import _accepts_events, admit
from relay.http.answer import Answer
from tests.support.tokens import TOKEN_KEY, token


class Plain:
    """A backend as Django's documentation has it: no more than `authenticate` and `get_user`."""

    def authenticate(self, request: Any, **credentials: Any) -> None:
        return None

    def get_user(self, user_id: Any) -> User | None:
        return User.objects.filter(pk=user_id).first()


class Asynchronous:
    is_authenticated, pk = True, "7"

    async def has_perm(self, permission: str) -> bool:
        return permission == "a.b"


def slow(user: Any, channel: Target, scope: Any) -> bool:
    time.sleep(0.4)
    return True


def quick(user: Any, channel: Target, scope: Any) -> bool:
    return True


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["hub"]
    settings.RELAY_TOKEN_KEY = TOKEN_KEY
    settings.RELAY_CHANNELS = {
        "news": {"access": "public"},
        "a": {"access": "signed-in"},
        "b": {"access": "signed-in"},
    }


def target(name: str, rule: Any = "signed-in") -> Target:
    found = Catalogue([Spec(name, rule, 1, 1, 1000)], "relay").find(name)
    assert found is not None
    return found


def cookies(**values: str) -> Credentials:
    return Credentials.of("", "", "; ".join(f"{name}={value}" for name, value in values.items()))


async def session_of(key: Any, backend: str, auth_hash: str = "") -> str:
    session = SessionStore()
    await session.aset(SESSION_KEY, str(key))
    await session.aset(BACKEND_SESSION_KEY, backend)
    await session.aset(HASH_SESSION_KEY, auth_hash)
    await session.asave()
    return str(session.session_key)


@pytest.fixture
async def ann(transactional_db: None) -> User:
    return await User.objects.acreate_user("ann", password="pw")


@pytest.mark.django_db(transaction=True)
async def test_a_backend_needs_no_more_than_get_user(settings: Settings, ann: User) -> None:
    path = f"{__name__}.Plain"
    settings.AUTHENTICATION_BACKENDS = [path]
    key = await session_of(ann.pk, path, ann.get_session_auth_hash())
    viewer = await session_viewer(key)
    assert viewer.key == str(ann.pk)
    assert not await has_permission(viewer.user, "a.b")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("seconds", "soon"), [(60, True), (0, False)])
async def test_a_session_is_checked_again_after_a_while(
    settings: Settings, ann: User, seconds: int, soon: bool
) -> None:
    """A session that disappears without a signal must not keep a stream for two weeks."""
    settings.RELAY_SESSION_CHECK_SECONDS = seconds
    backend = settings.AUTHENTICATION_BACKENDS[0]
    key = await session_of(ann.pk, backend, ann.get_session_auth_hash())
    viewer = await session_viewer(key)
    assert viewer.ends_at is not None
    assert (viewer.ends_at - time.time() <= 60) is soon


@pytest.mark.django_db(transaction=True)
async def test_a_session_of_another_user_model_is_nobodys(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    key = await session_of(uuid.uuid4(), settings.AUTHENTICATION_BACKENDS[0])
    assert (await session_viewer(key)).key == ""
    assert "A session is of another user model" in caplog.text


@pytest.mark.parametrize(
    ("user", "may"),
    [
        (object(), False),
        (mock.Mock(has_perm=lambda permission: True), True),
        (mock.Mock(has_perm=lambda permission: 1), False),
        (Asynchronous(), True),
        (AnonymousUser(), False),
    ],
)
async def test_users_of_any_kind_are_asked_for_a_permission(user: Any, may: bool) -> None:
    assert await has_permission(user, "a.b") is may


@pytest.mark.django_db(transaction=True)
async def test_cookies_are_tried_one_after_the_other(ann: User, settings: Settings) -> None:
    one, two = token(channels=["a"], sub="ann"), token(channels=["b"], sub="ann")
    both = [target("a"), target("b")]
    held = cookies(relay_token_1=one, relay_token_2=two)
    assert (await admitted(held, both, {})).key == "ann"
    with pytest.raises(Problem) as refused:
        await admitted(cookies(relay_token=one), both, {})
    assert refused.value.status == 403
    key = await session_of(ann.pk, settings.AUTHENTICATION_BACKENDS[0], ann.get_session_auth_hash())
    viewer = await admitted(cookies(relay_token=one, sessionid=key), both, {})
    assert (viewer.key, viewer.claims) == (str(ann.pk), None)
    old = cookies(relay_token=token(exp=5), sessionid=key)
    assert (await admitted(old, both, {})).key == str(ann.pk)


async def test_tokens_of_two_subjects_are_not_joined() -> None:
    held = cookies(
        relay_token_1=token(channels=["a"], sub="x"), relay_token_2=token(channels=["b"], sub="y")
    )
    with pytest.raises(Problem):
        await admitted(held, [target("a"), target("b")], {})
    assert (await admitted(held, [target("b")], {})).key == "y"


async def test_a_token_in_the_field_is_judged_alone() -> None:
    held = Credentials.of(f"Bearer {token(channels=['x'])}", "", f"relay_token={token()}")
    with pytest.raises(Problem) as refused:
        await admitted(held, [target("a")], {})
    assert refused.value.status == 403


async def test_a_slow_rule_delays_nobody() -> None:
    viewer = Viewer(AnonymousUser(), "x")
    asked = [require(viewer, target("s", slow), {}) for _ in range(5)]
    begun = time.monotonic()
    crowd = asyncio.gather(*asked)
    await asyncio.sleep(0.05)
    await require(viewer, target("q", quick), {})
    assert time.monotonic() - begun < 0.3
    await crowd
    assert time.monotonic() - begun < 1.2, "five at once, not one after the other"


@pytest.mark.parametrize("exp", [10**400, float("inf"), True, 2**60])
def test_an_end_that_no_clock_reaches_is_not_valid(exp: Any) -> None:
    with pytest.raises(tokens.TokenRefused):
        tokens.decode(token(exp=exp))


@pytest.mark.parametrize("sub", ["\ud800", "a\udfff", "", 7, None])
def test_a_subject_is_text_that_can_be_written(sub: Any) -> None:
    now = int(time.time())
    claims = {"sub": sub, "aud": "relay-hub", "iat": now, "exp": now + 60}
    text = jwt.encode(claims, TOKEN_KEY, "HS256") if sub != 7 else token(sub=7)
    with pytest.raises(tokens.TokenRefused):
        tokens.decode(text)


@pytest.mark.parametrize(
    ("entries", "wildcard", "name", "granted"),
    [
        (["plain.secret", "plain.*"], "plain.*", "plain.secret", False),
        (["plain.secret", "plain.*"], "plain.s*", "plain.secret", False),
        (["plain.secret", "plain.{id}"], "plain.*", "plain.secret", False),
        (["plain.secret", "plain.*"], "plain.*", "plain.other", True),
        (["plain.secret", "plain.*"], "*", "plain.secret", True),
        (["plain.secret", "plain.*"], "plain.secret", "plain.secret", True),
        (["o.vip.{id}", "o.*"], "o.*", "o.vip.7", False),
        (["o.vip.{id}", "o.*"], "o.vip.*", "o.vip.7", True),
        (["o.a", "o.b"], "o.*", "o.a", True),
    ],
)
@pytest.mark.parametrize("claim", ["channels", "publish", "presence"])
def test_a_wildcard_stops_at_a_channel_with_an_entry_of_its_own(
    entries: list[str], wildcard: str, name: str, granted: bool, claim: str
) -> None:
    found = Catalogue([Spec(e, "signed-in", 1, 1, 1000) for e in entries], "r_").find(name)
    assert found is not None
    assert tokens.grants({claim: [wildcard]}, claim, found) is granted


def test_a_user_and_a_token_of_the_same_name_are_two_subjects() -> None:
    assert subject_of("8", by_token=True) != subject_of("8", by_token=False)
    assert subject_of("", by_token=True) == ""
    assert Owner("8", by_token=True) != Owner("8")
    assert Viewer(None, "8", {}).subject != Viewer(None, "8").subject


async def ask(query: bytes, *headers: tuple[bytes, bytes]) -> Any:
    scope = {"type": "http", "method": "GET", "query_string": query}
    scope["headers"] = [(b"host", b"hub"), *headers]
    return await admit(scope, conf.load(), conf.load_catalogue())


@pytest.mark.parametrize("fetch_site", [b"cross-site", b"same-site"])
async def test_a_page_of_another_origin_opens_nothing_by_a_cookie(fetch_site: bytes) -> None:
    """In a frame or an image, without Origin. Each channel is refused alike."""
    by = (b"sec-fetch-site", fetch_site)
    cookie = (b"cookie", f"relay_token={token()}".encode())
    for channel in (b"a", b"b"):
        with pytest.raises(Problem) as refused:
            await ask(b"channel=" + channel, by, cookie)
        assert (refused.value.status, "another origin" in str(refused.value)) == (403, True)
    await ask(b"channel=news", by, cookie)
    await ask(b"channel=a", (b"sec-fetch-site", b"same-origin"), cookie)
    await ask(b"channel=a&token=" + token().encode(), by)


async def test_a_refusal_can_be_an_event() -> None:
    answer = await ask(b"channel=a&errors=stream", (b"accept", b"text/event-stream"))
    assert isinstance(answer, Answer)
    assert answer.status == 200
    retry, event, _ = answer.body.split(b"\n\n")
    assert 30_000 <= int(retry.removeprefix(b"retry: ")) <= 60_000
    assert event.startswith(b'event: hub.error\ndata: {"title": "Unauthorized", "status": 401')
    with pytest.raises(Problem):
        await ask(b"channel=a")


async def test_a_token_that_has_expired_can_be_an_event_of_its_own() -> None:
    """The browser repeats the old address: the page reads that its token is the reason."""
    old = f"channel=a&errors=stream&token={token(exp=int(time.time()) - 1)}"
    answer = await ask(old.encode(), (b"accept", b"text/event-stream"))
    assert isinstance(answer, Answer)
    assert answer.status == 200
    event = answer.body.split(b"\n\n")[1]
    assert json.loads(event.split(b"data: ")[1]) == {
        "title": "Unauthorized",
        "status": 401,
        "detail": "The token has expired.",
    }


def test_answers_are_not_embedded() -> None:
    refusal = Answer.refusal(Problem(403, "No."))
    assert {(b"X-Frame-Options", b"DENY")} <= set(refusal.headers)


@pytest.mark.parametrize(
    ("accept", "taken"),
    [
        ("*/*", True),
        ("text/*;q=0.5", True),
        ("text/event-stream;q=0", False),
        ("*/*, text/event-stream;q=0", False),
        ("text/html", False),
        ("TEXT/Event-Stream ; charset=utf-8", True),
        ("text/event-stream;q=bogus", False),
    ],
)
def test_accept_is_read_as_the_standard_says(accept: str, taken: bool) -> None:
    assert _accepts_events(accept) is taken


@pytest.mark.parametrize("piece", ['a;"', "text/html;q=,", ";", 'text/*;a="\\', ","])
def test_accept_takes_linear_time(piece: str) -> None:
    """Sixteen times the text may take no more than some forty times as long."""

    def seconds(times: int) -> float:
        text = piece * times
        best = 1.0
        for _ in range(5):
            begun = time.thread_time()
            _accepts_events(text)
            best = min(best, time.thread_time() - begun)
        return best

    assert seconds(64_000) < 40 * seconds(4_000) + 0.002
