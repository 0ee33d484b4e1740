"""`/history/`: pages of what is kept, for those who may see the channel, whatever is asked."""

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, AsyncRequestFactory
from pytest_django import Settings

from relay.access import tokens
from relay.broker.keys import Keys
from relay.http import history as view
from relay.http import large_answers
from relay.wire import sse
from tests.support.client import Stream, ask, raw_request
from tests.support.corpus import CORPUS, as_received
from tests.support.history import collect, position, shown
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.site import MakeSite
from tests.support.tokens import TOKEN_KEY, token
from tests.support.views import get_json

EPOCH = 2_000_000_000_000_000
ORIGIN = "https://app.example.com"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def site(settings: Settings, redis_server: RedisServer) -> None:
    settings.REDIS_URL = redis_server.url
    settings.RELAY_TOKEN_KEY = TOKEN_KEY
    settings.RELAY_ALLOWED_ORIGINS = ORIGIN
    settings.RELAY_CHANNELS = {
        "news": {"access": "public", "envelope": True},
        "desk": {"access": "signed-in"},
        "brief": {"access": "public", "history_size": 0},
        "room.*": {"access": "public", "wildcard": "public"},
        "hall.*": {"access": "signed-in", "wildcard": "signed-in"},
        "user.{user_id}": {"access": "owner"},
        "order.*": {"access": "public", "source": "stream", "envelope": True},
    }


def store(redis_server: RedisServer, name: str, *entries: tuple[int, bytes | None]) -> None:
    """Stores events with their offsets, as hubs do; None is a boundary."""
    with redis_server.client() as client:
        for offset, event in entries:
            fields: dict[Any, Any] = {"t": offset} if event is None else {"t": offset, "e": event}
            client.xadd(Keys.of("relay", name).history, fields, id=f"{EPOCH}-{offset}")


def data(answer: Any) -> list[str]:
    """The texts of messages; of a gap its reason and count."""
    return [
        f"{item['gap']['reason']} {item['gap']['missed']}" if "gap" in item else item["data"]
        for item in answer["messages"]
    ]


# -- what it answers


async def test_the_newest_messages_are_answered_with_ids_and_times(
    redis_server: RedisServer,
) -> None:
    assert await get_json("/history/news/") == (
        200,
        {"channel": "news", "messages": [], "more": False},
    )
    priced = sse.named("price", 5000, sse.message(b"12.50"))
    store(redis_server, "news", (0, None), (1, sse.message(b"one")), (2, priced))
    messages = [
        {"id": f"{EPOCH}-1", "time": 1, "event": "message", "data": "one"},
        {"id": f"{EPOCH}-2", "time": 2, "event": "price", "data": "12.50"},
    ]
    assert await get_json("/history/news") == (
        200,
        {"channel": "news", "messages": messages, "more": False},
    )
    assert await get_json("/history/news/?limit=1") == (
        200,
        {"channel": "news", "messages": messages[1:], "more": True},
    )
    assert await get_json(f"/history/news/?limit=1&before={EPOCH}-2") == (
        200,
        {"channel": "news", "messages": messages[:1], "more": False},
    )


@pytest.mark.parametrize("name", CORPUS)
async def test_the_corpus_is_answered_as_a_stream_sends_it(
    redis_server: RedisServer, name: str
) -> None:
    payload = CORPUS[name].decode(errors="replace")
    store(redis_server, "room.1", (1, sse.message(payload.encode())))
    _, answer = await get_json("/history/room.1/")
    assert data(answer) == [as_received(payload)]


async def test_a_gap_has_its_reason_its_number_and_the_id_after_it(
    redis_server: RedisServer,
) -> None:
    store(redis_server, "news", (1, sse.message(b"1")), (4, sse.message(b"4")))
    _, answer = await get_json("/history/news/")
    gap = {"gap": {"reason": "expired", "missed": 2}, "id": f"{EPOCH}-3"}
    assert answer["messages"][1] == gap
    _, answer = await get_json(f"/history/news/?before={EPOCH}-4")
    assert data(answer) == ["1", "expired 2"]


async def test_a_channel_without_a_history_has_none(redis_server: RedisServer) -> None:
    store(redis_server, "brief", (1, sse.message(b"of another time")))
    assert await get_json("/history/brief/") == (
        200,
        {"channel": "brief", "messages": [], "more": False},
    )


# -- what may be asked


@pytest.mark.parametrize(
    "before",
    ["0-1", "1", "1-", "-1", "1-1-1", "1-1%00", "%00", "news=1-1", "1-%D9%A1", "1" * 17 + "-1"],
)
async def test_a_before_that_is_no_id_is_named(before: str) -> None:
    text = "before is not valid. Use the id of a message."
    assert await get_json(f"/history/news/?before={before}") == (400, text)


@pytest.mark.parametrize("limit", ["0", "501", "-1", "1.0", "%D9%A3", "1e2", "+1", "9" * 4000])
async def test_a_limit_out_of_range_is_named(limit: str) -> None:
    text = "limit is not valid. Use a whole number from 1 to 500."
    assert await get_json(f"/history/news/?limit={limit}") == (400, text)


async def test_empty_fields_are_as_none_and_more_than_a_hundred_are_too_many() -> None:
    assert (await get_json("/history/news/?before=&limit="))[0] == 200
    many = "&".join(["a=1"] * 101)
    assert await get_json(f"/history/news/?{many}") == (400, "The query has too many fields.")


async def test_it_is_read_with_get_alone() -> None:
    for method in ("POST", "PUT", "DELETE"):
        answer = await AsyncClient().generic(method, "/history/news/")
        assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")
    head = await AsyncClient().head("/history/news/")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "name", ["nowhere", "%00", "__keyspace@0__:x", "relay:control", "user.*", "a b", "x" * 300]
)
async def test_a_name_that_is_not_in_the_catalogue_never_reaches_redis(
    redis_server: RedisServer, name: str
) -> None:
    redis_server.kill()
    assert await get_json(f"/history/{name}/") == (404, "There is no such channel.")


async def test_a_pattern_has_no_pages() -> None:
    text = "A pattern has no pages of its history. Name one channel."
    assert await get_json("/history/room.*/") == (400, text)
    assert await get_json("/history/hall.*/") == (401, "Sign in to see this channel.")


async def test_a_redis_that_is_away_is_a_503(redis_server: RedisServer) -> None:
    redis_server.kill()
    response = await AsyncClient().get("/history/news/")
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert response.json()["detail"] == "Redis did not answer."


# -- who may


async def test_the_rule_of_the_channel_decides(redis_server: RedisServer) -> None:
    store(redis_server, "desk", (1, sse.message(b"secret")))
    store(redis_server, "user.7", (1, sse.message(b"of another")))
    assert await get_json("/history/desk/") == (401, "Sign in to see this channel.")
    text = token(channels=["desk"])
    for path, headers in (
        ("/history/desk/", {"Authorization": f"Bearer {text}"}),
        (f"/history/desk/?token={text}", {}),
        ("/history/desk/", {"Cookie": f"relay_token={text}"}),
    ):
        status, answer = await get_json(path, **headers)
        assert (status, data(answer)) == (200, ["secret"])
    wrong = {"Authorization": f"Bearer {text}"}
    text = "The token does not grant this channel."
    assert await get_json("/history/user.7/", **wrong) == (403, text)
    bad = {"Authorization": "Bearer nonsense"}
    assert await get_json("/history/desk/", **bad) == (401, "The token is not valid.")
    client = AsyncClient()
    ann = await User.objects.acreate_user("ann")
    await client.aforce_login(ann)
    assert (await client.get("/history/desk/")).status_code == 200
    assert (await client.get(f"/history/user.{ann.pk}/")).status_code == 200
    assert (await client.get("/history/user.7000/")).status_code == 403


async def test_a_page_of_another_origin_gets_nothing_by_a_cookie(
    redis_server: RedisServer,
) -> None:
    store(redis_server, "desk", (1, sse.message(b"secret")))
    cookie = {"Cookie": f"relay_token={tokens.issue('svc', ['desk'])}"}
    for site in ("cross-site", "same-site"):
        status, text = await get_json("/history/desk/", **cookie, Sec_Fetch_Site=site)
        assert (status, text) == (403, "A page of another origin may not open this by a cookie.")
    for origin in ("https://evil.example", "null"):
        status, text = await get_json("/history/desk/", **cookie, Origin=origin)
        assert (status, text) == (
            403,
            "Pages of this origin may not read this (RELAY_ALLOWED_ORIGINS).",
        )
    names = {**cookie, "Origin": ORIGIN}
    response = await AsyncClient().get("/history/desk/", headers=names)
    assert (response.status_code, response["Access-Control-Allow-Origin"]) == (200, ORIGIN)


async def test_whether_anything_is_kept_is_not_told_to_those_who_may_not_see_it(
    redis_server: RedisServer,
) -> None:
    before = await get_json("/history/desk/")
    store(redis_server, "desk", (1, sse.message(b"secret")))
    assert await get_json("/history/desk/") == before
    redis_server.kill()
    assert await get_json("/history/desk/") == before  # Redis was not asked at all


# -- how much


async def test_a_page_is_bounded_in_bytes_and_more_says_so(redis_server: RedisServer) -> None:
    store(redis_server, "news", *[(n, sse.message(b"x" * 100_000)) for n in range(1, 31)])
    response = await AsyncClient().get("/history/news/?limit=500")
    answer = response.json()
    assert len(response.content) <= view.MAX_BYTES + 200
    assert (len(answer["messages"]), answer["more"]) == (10, True)
    assert answer["messages"][-1]["id"] == f"{EPOCH}-30"


async def test_what_json_makes_larger_is_bounded_as_well(redis_server: RedisServer) -> None:
    store(redis_server, "news", *[(n, sse.message(b"\x01" * 50_000)) for n in range(1, 21)])
    response = await AsyncClient().get("/history/news/?limit=500")
    answer = response.json()
    assert len(response.content) <= view.MAX_BYTES + 200
    assert (len(answer["messages"]), answer["more"]) == (3, True)
    oldest = answer["messages"][0]["id"]
    _, older = await get_json(f"/history/news/?before={oldest}")
    assert position(older["messages"][-1]["id"]).offset == position(oldest).offset - 1


async def test_one_message_is_answered_however_large_it_is(redis_server: RedisServer) -> None:
    store(redis_server, "news", *[(n, sse.message(b"x" * 2_000_000)) for n in range(1, 4)])
    _, answer = await get_json("/history/news/?limit=500")
    assert ([len(text) for text in data(answer)], answer["more"]) == ([2_000_000], True)


async def test_a_gap_is_not_lost_where_a_page_ends_by_its_size(redis_server: RedisServer) -> None:
    text = sse.message(b"\x01" * 100_000)
    store(redis_server, "news", (1, text), (3, text), (5, text))
    seen: list[str] = []
    before, more = "", True
    while more:
        _, answer = await get_json(f"/history/news/?before={before}")
        seen = [item["id"] for item in answer["messages"]] + seen
        before, more = answer["messages"][0]["id"], answer["more"]
    assert seen == [f"{EPOCH}-{n}" for n in (1, 2, 3, 4, 5)]


async def test_large_pages_that_are_not_read_yet_have_a_bound_together(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_answers, "MAX_BYTES", 3_500_000)
    store(redis_server, "news", *[(n, sse.message(b"x" * 100_000)) for n in range(1, 31)])
    store(redis_server, "room.1", (1, sse.message(b"small")))
    request = AsyncRequestFactory().get("/history/")  # no handler closes these answers
    held = [await view.history(request, "room.1") for _ in range(100)]
    held += [await view.history(request, "news") for _ in range(4)]
    assert [response.status_code for response in held] == [200] * 104
    refused = await view.history(request, "news")
    assert (refused.status_code, refused["Retry-After"]) == (503, "1")
    assert json.loads(refused.content)["detail"] == "Too many large answers are being sent."
    assert (await get_json("/history/desk/"))[0] == 401  # that is not told to who may not see it
    held[-1].close()
    assert (await view.history(request, "news")).status_code == 200  # and is gone
    held.append(await view.history(request, "news"))
    assert (await view.history(request, "news")).status_code == 503


@pytest.mark.parametrize("server", ["serve", "uvicorn"])
def test_a_page_that_was_read_or_given_up_leaves_its_room(
    start_hub: StartHub, redis_server: RedisServer, server: str
) -> None:
    words = ["-m", "uvicorn", "--port", "{port}", "hub.asgi:application"]
    hub = start_hub(command=words if server == "uvicorn" else None)
    store(redis_server, "demo_stream", *[(n, sse.message(b"x" * 100_000)) for n in range(1, 12)])
    request = b"GET /history/demo_stream/?limit=500 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for number in range(80):  # more than the room has
        if number % 2:
            assert ask(hub.url, "/history/demo_stream/?limit=500").status == 200
        else:
            raw_request(hub.url, request).close()


# -- with hubs


def pages(hub: HubProcess, limit: int) -> Iterator[Any]:
    """Pages from the newest back."""
    before = ""
    while True:
        answer = json.loads(ask(hub.url, f"/history/demo_stream/?limit={limit}&before={before}")[2])
        yield answer
        if not answer["more"]:
            return
        before = answer["messages"][0]["id"]


@pytest.mark.parametrize("limit", [1, 7, 500])
def test_pages_are_what_a_stream_with_rewind_all_gets(
    start_hub: StartHub, redis_server: RedisServer, limit: int
) -> None:
    hub = start_hub()
    collect(hub, redis_server, 20)
    hub.kill()
    hub.start()
    events = collect(hub, redis_server, 5)
    with Stream(hub.url, "/stream/?rewind=all") as stream:
        streamed = []
        for event in stream.events():
            streamed.append(event)
            if event.id == events[-1].id:
                break
    items = [item for page in reversed(list(pages(hub, limit))) for item in page["messages"]]
    assert data({"messages": items}) == shown([e for e in streamed if e.data])
    assert [item["id"] for item in items] == [e.id for e in streamed if e.data]


def test_a_token_in_the_address_is_not_logged(start_hub: StartHub, make_site: MakeSite) -> None:
    site = make_site(RELAY_CHANNELS="desk=signed-in")
    words = ["-m", "uvicorn", "--port", "{port}", "hub.asgi:application"]
    for hub in (start_hub(**site.env), start_hub(command=words, **site.env)):
        text = token(channels=["desk"])
        assert ask(hub.url, f"/history/desk/?token={text}").status == 200
        assert ask(hub.url, f"/history/desk/?limit=0&token={text}").status == 400
        assert text not in hub.log()


def test_redis_reads_no_more_for_a_page_than_the_page(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub()
    store(redis_server, "demo_stream", *[(n, sse.message(b"x" * 100_000)) for n in range(1, 101)])
    with redis_server.client() as client:
        client.config_resetstat()
        before = client.info("stats")["total_net_output_bytes"]
        for _ in range(10):
            assert ask(hub.url, "/history/demo_stream/?limit=500").status == 200
        sent = client.info("stats")["total_net_output_bytes"] - before
        calls = client.info("commandstats")["cmdstat_xrevrange"]["calls"]
    assert 10 * 1_000_000 < sent < 10 * 1_200_000
    assert calls <= 10 * 8  # of eleven messages, no more at a time than fit


def test_a_redis_that_hangs_is_a_503(start_hub: StartHub, redis_server: RedisServer) -> None:
    hub = start_hub()
    redis_server.signal(signal.SIGSTOP)
    try:
        answer = ask(hub.url, "/history/demo_stream/")
    finally:
        redis_server.signal(signal.SIGCONT)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


# -- stream channels


def add(redis_server: RedisServer, name: str, *entries: tuple[str, dict[str, Any]]) -> None:
    with redis_server.client() as client:
        for identity, fields in entries:
            client.xadd(name, fields, id=identity)


async def test_a_page_of_a_stream_channel_is_read_from_the_stream(
    redis_server: RedisServer,
) -> None:
    nothing = {"channel": "order.7", "messages": [], "more": False}
    assert await get_json("/history/order.7/") == (200, nothing)
    entries: list[tuple[str, dict[str, Any]]] = [
        ("0-1", {"data": "first"}),
        ("1700000000000-0", {"status": "shipped", "to": b"\xff"}),
        ("1700000000000-5", {"data": "12.50", "event": "price"}),
        ("1700000000001-0", {"data": "x" * 5_000_000}),
    ]
    add(redis_server, "order.7", *entries)
    _, answer = await get_json("/history/order.7/?limit=1")
    [large] = answer["messages"]
    assert (large["event"], answer["more"]) == ("hub.oversize", True)
    _, answer = await get_json(f"/history/order.7/?before={large['id']}&limit=2")
    assert answer["more"]
    assert answer["messages"] == [
        {
            "id": "1700000000000-0",
            "time": 1700000000000,
            "event": "message",
            "data": '{"status":"shipped","to":"\ufffd"}',
        },
        {"id": "1700000000000-5", "time": 1700000000000, "event": "price", "data": "12.50"},
    ]
    _, answer = await get_json("/history/order.7/?before=1700000000000-0")
    assert (data(answer), answer["more"]) == (["first"], False)
    assert (await get_json("/history/order.7/?before=18446744073709551616-0"))[0] == 400
    assert (await get_json("/history/order.*/"))[0] == 400


async def test_pages_of_a_stream_channel_have_each_entry_once(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        for number in range(300):
            client.xadd("order.8", {"data": f"{number} " + "y" * (number * 97 % 9000)})
    found: list[str] = []
    before = ""
    while True:
        _, answer = await get_json(f"/history/order.8/?limit=70{before}")
        assert answer["messages"]
        found = [item["data"].split()[0] for item in answer["messages"]] + found
        if not answer["more"]:
            break
        before = f"&before={answer['messages'][0]['id']}"
    assert found == [str(number) for number in range(300)]


async def test_a_key_of_another_type_has_no_pages(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.set("order.9", "text")
    assert await get_json("/history/order.9/") == (
        200,
        {"channel": "order.9", "messages": [], "more": False},
    )
