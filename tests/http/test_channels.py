"""`/channels/`: what the visitor may see, all of that, and not a word of the rest."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import AsyncClient
from pytest_django import Settings

from relay.access import sight
from relay.broker.keys import HubKeys
from relay.control import open_channels
from relay.http import channels as view
from relay.http.body_limits import SMALL_BYTES, BodyLimits
from tests.support.client import Stream, ask
from tests.support.servers import RedisServer, StartHub
from tests.support.site import MakeSite
from tests.support.tokens import TOKEN_KEY, bearer, token
from tests.support.views import get_json
from tests.support.waiting import wait_until

KEYS = HubKeys("relay")
ORIGIN = "https://app.example.com"

pytestmark = pytest.mark.django_db(transaction=True)

asked: list[str] = []
"""The names about which the rule of this site was asked."""


def by_its_header(user: Any, channel: Any, scope: Any) -> bool:
    """A function of a site: the header says which order is one's own, or `all`."""
    asked.append(channel.name)
    own = dict(tuple(pair) for pair in scope["headers"]).get(b"x-order", b"").decode()
    return own in (channel.fields.get("pk"), "all")


@pytest.fixture(autouse=True)
def site(settings: Settings, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = redis_server.url
    settings.RELAY_TOKEN_KEY = TOKEN_KEY
    settings.RELAY_ALLOWED_ORIGINS = ORIGIN
    settings.RELAY_HTTP_PUBLISH = "1"
    settings.RELAY_CHANNEL = "news"
    settings.RELAY_CHANNELS = {
        "news": {"access": "public", "envelope": True},
        "desk": {"access": "signed-in"},
        "audit": {"access": "perm:auth.view_user"},
        "room.*": {"access": "public", "wildcard": "signed-in"},
        "hall.*": {"access": "signed-in"},
        "user.{user_id}": {"access": "owner"},
        "order.{pk}": {"access": f"{__name__}.by_its_header"},
    }
    monkeypatch.setattr(view, "_open_channels", open_channels.OpenChannels())
    monkeypatch.setattr(open_channels, "KEPT_SECONDS", 0.0)
    asked.clear()


def process(redis_server: RedisServer, counts: dict[str, int], name: str = "a") -> None:
    """As a hub process writes its presence."""
    with redis_server.client() as client:
        client.zadd(KEYS.processes, {name: 9e15})
        entries = {channel: f'{count} ["7"]' for channel, count in counts.items()}
        client.hset(KEYS.presence + name, mapping={"": "", **entries})


async def get(query: str = "", client: Any = None, **headers: str) -> tuple[int, Any]:
    return await get_json(f"/channels/{query}", client, **headers)


async def names(query: str = "", client: Any = None, **headers: str) -> tuple[list[str], bool]:
    status, answer = await get(query, client, **headers)
    assert status == 200
    return [channel["name"] for channel in answer["channels"]], answer["more"]


async def signed_in(*permissions: str) -> tuple[AsyncClient, User]:
    client, user = AsyncClient(), await User.objects.acreate_user("ann")
    for codename in permissions:
        await user.user_permissions.aadd(await Permission.objects.aget(codename=codename))
    await client.aforce_login(user)
    return client, user


# -- what it answers


async def test_each_channel_has_its_streams_and_what_may_be_done(redis_server: RedisServer) -> None:
    process(redis_server, {"news": 2, "room.1": 1, "room.2": 3})
    process(redis_server, {"news": 1, "room.1": 4}, "b")
    common = {"wildcard": False, "publish": False, "envelope": False}
    assert await get() == (
        200,
        {
            "channels": [
                {**common, "name": "news", "streams": 3, "envelope": True},
                {**common, "name": "room.1", "streams": 5},
                {**common, "name": "room.2", "streams": 3},
            ],
            "more": False,
        },
    )


async def test_exact_names_come_first_then_wildcards_then_the_rest(
    redis_server: RedisServer,
) -> None:
    client, ann = await signed_in()
    own = f"user.{ann.pk}"
    process(redis_server, {"hall.b": 9, "hall.a": 9, own: 1, "user.7000": 8, "room.*": 4})
    expected = ["desk", "news", "room.*", "hall.a", "hall.b", own]
    assert await names("", client) == (expected, False)
    _, answer = await get("", client)
    wildcard = {"name": "room.*", "wildcard": True, "streams": 4}
    assert answer["channels"][2] == {**wildcard, "publish": False, "envelope": False}


async def test_a_search_finds_parts_of_names_in_upper_and_lower_case(
    redis_server: RedisServer,
) -> None:
    process(redis_server, {"room.Blue": 1, "room.red": 1, "room.straße": 1})
    assert await names("?q=BLU") == (["room.Blue"], False)
    assert await names("?q=r") == (["room.Blue", "room.red", "room.straße"], False)
    assert await names("?q=STRASSE") == (["room.straße"], False)
    assert await names("?q=ne") == (["news"], False)
    assert await names("?q=") == (["news", "room.Blue", "room.red", "room.straße"], False)
    for odd in ("%00", "%FF", "%0A", "*", "room.*", ".*", "[a-z]", "%F0%9F%98%80", "%ED%A0%80"):
        assert (await names(f"?q={odd}"))[0] == []
    assert await names("?q=" + "%C3%A9" * 200) == ([], False)


@pytest.mark.parametrize("text", ["a" * 201, "%C3%A9" * 201, "%00" * 4000])
async def test_a_search_that_is_too_long_is_named(text: str) -> None:
    expected = "q is not valid. Use a part of a name, up to 200 characters."
    assert await get(f"?q={text}") == (400, expected)


async def test_two_hundred_are_answered_and_more_says_that_there_are_others(
    redis_server: RedisServer,
) -> None:
    process(redis_server, {f"room.{n}": 1 for n in range(199)})
    found, more = await names()
    assert (len(found), more) == (200, False)
    process(redis_server, {"room.busy": 5}, "b")
    found, more = await names()
    assert (len(found), more) == (200, True)
    assert found[:2] == ["news", "room.busy"]
    assert await names("?q=busy") == (["room.busy"], False)


async def test_what_only_a_part_of_was_counted_has_no_number(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_channels, "MAX_CHANNELS", 300)
    process(redis_server, {"news": 7, **{f"room.{n}": 1 for n in range(2000)}})
    _, answer = await get()
    assert (answer["channels"][0]["streams"], answer["more"]) == (7, True)
    assert {channel["streams"] for channel in answer["channels"][1:]} == {None}
    for n in range(0, 2000, 400):  # a whole name is found wherever it is
        assert (await names(f"?q=room.{n}"))[0][0] == f"room.{n}"
    assert "room.2001" not in (await names("?q=room.2001"))[0]


async def test_it_is_read_with_get_alone() -> None:
    for method in ("POST", "PUT", "DELETE"):
        answer = await AsyncClient().generic(method, "/channels/")
        assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")
    assert BodyLimits("stream/", 1 << 30, 1 << 30).bytes_for("POST", "/channels/") == SMALL_BYTES


# -- Redis


async def test_without_redis_what_the_catalogue_has_is_answered(redis_server: RedisServer) -> None:
    redis_server.kill()
    client, _ = await signed_in()
    status, answer = await get("", client)
    assert (status, answer["more"]) == (200, True)
    assert [(c["name"], c["streams"]) for c in answer["channels"]] == [
        *(("desk", None), ("news", None)),
        ("room.*", None),
    ]


async def test_a_redis_that_denies_the_look_costs_the_numbers_alone(
    redis_server: RedisServer,
) -> None:
    with redis_server.client() as client:
        process(redis_server, {"room.1": 1})
        client.execute_command("ACL", "SETUSER", "default", "-hscan")
    assert await names() == (["news"], True)


# -- who sees what


async def test_tokens_open_what_they_list(redis_server: RedisServer) -> None:
    process(redis_server, {"hall.1": 1, "hall.2": 2, "order.5": 3, "user.9": 1, "room.1": 1})
    text = token(channels=["desk", "hall.2", "order.*", "room.*"])
    expected = ["desk", "news", "room.*", "order.5", "hall.2", "room.1"]
    for query, headers in (
        ("", {"Authorization": f"Bearer {text}"}),
        (f"?token={text}", {}),
        ("", {"Cookie": f"relay_token={text}"}),
    ):
        assert await names(query, **headers) == (expected, False)
    assert asked == []


async def test_a_token_that_is_not_valid_is_refused_and_a_cookie_like_that_counts_for_nothing() -> (
    None
):
    assert await get("", Authorization="Bearer nonsense") == (401, "The token is not valid.")
    assert await get("?token=nonsense") == (401, "The token is not valid.")
    assert await names("", Cookie="relay_token=nonsense") == (["news"], False)


async def test_a_cookie_of_a_token_and_a_session_count_together(redis_server: RedisServer) -> None:
    process(redis_server, {"order.5": 1, "hall.1": 2})
    client, _ = await signed_in()
    client.cookies["relay_token"] = token(channels=["order.5"])
    expected = ["desk", "news", "room.*", "hall.1", "order.5"]
    assert await names("", client) == (expected, False)


async def test_a_permission_counts(redis_server: RedisServer) -> None:
    client, _ = await signed_in("view_user")
    assert (await names("", client))[0] == ["audit", "desk", "news", "room.*"]


async def test_a_page_of_another_origin_sees_by_a_cookie_what_nobody_sees() -> None:
    client, _ = await signed_in()
    for site in ("cross-site", "same-site"):
        assert await names("", client, Sec_Fetch_Site=site) == (["news"], False)
    text = "Pages of this origin may not read this (RELAY_ALLOWED_ORIGINS)."
    for origin in ("https://evil.example", "null"):
        assert await get("", client, Origin=origin) == (403, text)
    assert (await names("", client, Origin=ORIGIN))[0] == ["desk", "news", "room.*"]


async def test_who_may_publish_is_who_may_at_publish(settings: Settings) -> None:
    async def publishable(client: Any = None, **headers: str) -> list[str]:
        _, answer = await get("", client, **headers)
        return [channel["name"] for channel in answer["channels"] if channel["publish"]]

    claims = bearer(channels=["*", "room.*"], publish=["desk", "room.*"])
    assert await publishable(**claims) == ["desk"]  # never a wildcard
    client, _ = await signed_in("publish")
    assert await publishable(client) == ["desk", "news"]
    assert await publishable() == []
    cookie = {"Cookie": f"relay_token={token(publish=['*'])}"}
    assert await publishable(**cookie) == []  # tokens in cookies do not publish
    settings.RELAY_HTTP_PUBLISH = "0"
    assert await publishable(client) == []
    assert await publishable(**claims) == []


# -- what nobody may learn


HIDDEN = {
    **{f"hall.secret{n}": 50 for n in range(500)},
    **{f"order.{n}": 50 for n in range(500)},
    **{f"user.{n}": 50 for n in range(7000, 7500)},
}


@pytest.mark.parametrize("q", ["", "secret", "order.7", "order.", "user.7001", "hall.secret1", "e"])
async def test_channels_that_a_visitor_may_not_see_change_no_byte(
    redis_server: RedisServer, q: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in (10_000, 100):
        monkeypatch.setattr(open_channels, "MAX_CHANNELS", limit)
        with redis_server.client() as client:
            client.flushall()
        process(redis_server, {"news": 1})
        before = (await AsyncClient().get("/channels/", {"q": q})).content
        process(redis_server, HIDDEN, "b")
        after = (await AsyncClient().get("/channels/", {"q": q})).content
        assert after == before


@pytest.mark.parametrize("q", ["", "order.7", "order.7000", "zzz", "7"])
async def test_what_is_searched_for_does_not_change_about_what_a_function_is_asked(
    redis_server: RedisServer, q: str
) -> None:
    """A question may cost a query, and its time would tell that there is such a channel."""
    process(redis_server, {f"order.{n}": 1 for n in range(20)})
    assert await names("?q=secret", X_Order="nobody's") == ([], False)
    first = {*asked}
    asked.clear()
    await names(f"?q={q}", X_Order="nobody's")
    whole = {q} if q.startswith("order.") else set()
    assert {*asked} == first | whole  # open or not, a whole name is asked about
    assert len(asked) == len({*asked})


async def test_a_function_is_asked_about_so_many_channels_and_more_says_so_to_whom_it_lets_in(
    redis_server: RedisServer,
) -> None:
    process(redis_server, {"order.first": 9, **{f"order.{n}": 1 for n in range(300)}})
    assert await names("?q=order", X_Order="first") == (["order.first"], True)
    assert len(asked) == sight.QUESTIONS
    found, more = await names("?q=order", X_Order="all")
    assert (len(found), more) == (sight.QUESTIONS, True)
    assert await names("?q=order", X_Order="none") == ([], False)
    assert "order.299" in (await names("?q=order.299", X_Order="all"))[0]  # a whole name


# -- with hubs


def test_open_streams_of_all_hubs_are_seen(
    start_hub: StartHub, make_site: MakeSite, redis_server: RedisServer
) -> None:
    site = make_site(RELAY_CHANNELS="room.* desk=signed-in")
    hubs = [start_hub(**site.env) for _ in range(2)]
    text = token(channels=["desk"])

    def listed(path: str = "/channels/") -> list[tuple[str, int]]:
        answer = json.loads(ask(hubs[0].url, path).body)
        return [(channel["name"], channel["streams"]) for channel in answer["channels"]]

    assert listed() == [("demo_stream", 0)]
    with (
        Stream(hubs[0].url, "/stream/?channel=room.1"),
        Stream(hubs[1].url, "/stream/?channel=room.1&channel=demo_stream"),
    ):
        wait_until(lambda: listed() == [("demo_stream", 1), ("room.1", 2)], "both are seen")
        expected = [("demo_stream", 1), ("desk", 0), ("room.1", 2)]
        assert listed(f"/channels?token={text}") == expected
    wait_until(lambda: listed() == [("demo_stream", 0)], "none is left")
    assert all(text not in hub.log() for hub in hubs)
