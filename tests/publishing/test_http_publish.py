"""`POST /publish/<channel>/`: what is sent, how much, how fast, and once only."""

import re
import time

import pytest
from django.test import AsyncClient
from pytest_django import Settings

from tests.support.publish_site import BATCH, ENVELOPE, done, post, told
from tests.support.servers import RedisServer, Taken

pytestmark = [
    pytest.mark.urls("tests.support.publish_site"),
    pytest.mark.usefixtures("publish_site"),
]


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/json",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
    ],
)
async def test_the_body_is_the_message_byte_for_byte(taken: Taken, content_type: str) -> None:
    for body in (b' {"a": 1}\r\n\xff\x00', b"csrfmiddlewaretoken=1&x=%20", b""):
        assert done(await post("orders", body, content_type)) == (1, 1)
        assert taken() == [("orders", body)]


async def test_each_line_of_a_batch_is_a_message(taken: Taken) -> None:
    body = b'{"n": 1}\r\n\n  \nplain text\n"\xc3\xa9"\n\xff last'
    assert done(await post("orders", body, BATCH)) == (4, 1)
    lines = [b'{"n": 1}', b"plain text", b'"\xc3\xa9"', b"\xff last"]
    assert taken() == [("orders", line) for line in lines]


async def test_a_batch_goes_out_in_one_piece(taken: Taken, redis_server: RedisServer) -> None:
    lines = [b"%d" % n for n in range(10_000)]
    assert done(await post("orders", b"\n".join(lines), BATCH)) == (10_000, 1)
    assert taken() == [("orders", line) for line in lines]
    with redis_server.client() as client:
        assert client.info("commandstats")["cmdstat_publish"]["calls"] == 10_001


async def test_an_envelope_is_checked_and_sent_as_it_is(taken: Taken) -> None:
    body = b'{"event": "price",  "data": {"n": 1}, "retry": 5}'
    assert done(await post("named", body, ENVELOPE)) == (1, 1)
    assert taken() == [("named", body)]
    for wrong in (b"text", b'{"event": "hub.gap", "data": ""}', b'{"data": "", "id": "1"}'):
        assert told(await post("named", wrong, ENVELOPE)) == (
            400,
            "This is no envelope: see docs/publishing.md.",
        )
    assert told(await post("orders", body, ENVELOPE)) == (
        415,
        "This channel has no named events (envelope in RELAY_CHANNELS).",
    )
    assert taken() == []


async def test_a_channel_name_may_hold_a_slash(taken: Taken) -> None:
    assert done(await post("orders/eu", b"x")) == (1, 1)
    assert taken() == [("orders/eu", b"x")]


@pytest.mark.parametrize(
    "channel", ["nowhere", "room.*", "relay:%7Borders%7D:log", "__keyspace@0__:x"]
)
async def test_what_is_no_channel_is_404(taken: Taken, channel: str) -> None:
    assert told(await post(channel, b"x")) == (404, "There is no such channel.")
    assert taken() == []


async def test_it_is_off_unless_configured(settings: Settings, taken: Taken) -> None:
    del settings.RELAY_HTTP_PUBLISH
    assert told(await post("orders", b"x")) == (
        404,
        "Publishing over HTTP is off (RELAY_HTTP_PUBLISH).",
    )
    assert taken() == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_other_methods_are_405(method: str) -> None:
    response = await AsyncClient().generic(method, "/open/orders/")
    assert told(response) == (405, "Messages are published with POST.")
    assert response["Allow"] == "POST"


async def test_an_event_that_the_hub_would_not_send_is_413(taken: Taken) -> None:
    assert done(await post("small", b"x" * 248)) == (1, 1)
    too_large = (413, "The message is larger than an event may be (256 bytes).")
    assert told(await post("small", b"x" * 249)) == too_large
    assert told(await post("small", b"\n" * 36)) == too_large
    assert told(await post("small", b"x" * 9_000_000)) == too_large
    body = b"fits\n\n" + b"x" * 249
    assert told(await post("small", body, BATCH)) == (
        413,
        "Line 3 is larger than an event may be (256 bytes).",
    )
    assert taken() == [("small", b"x" * 248)]


async def test_a_batch_has_its_limits(settings: Settings, taken: Taken) -> None:
    settings.RELAY_PUBLISH_PER_SECOND = 1_000_000
    largest = (b"x" * (1024 * 1024 - 1) + b"\n") * 8
    assert done(await post("orders", largest, BATCH)) == (8, 1)
    assert len(taken()) == 8
    assert told(await post("orders", largest + b"\n", BATCH)) == (
        413,
        "A batch has up to 8388608 bytes.",
    )
    assert told(await post("orders", b"x\n" * 10_001, BATCH)) == (
        413,
        "A batch has up to 10000 messages.",
    )
    assert told(await post("orders", b"\r\n \n", BATCH)) == (400, "The batch has no message.")
    assert taken() == []


async def test_a_compressed_body_is_415(taken: Taken) -> None:
    refused = (415, "A body is sent as it is, without Content-Encoding.")
    assert told(await post("orders", b"x", Content_Encoding="gzip")) == refused
    assert done(await post("orders", b"x", Content_Encoding="identity")) == (1, 1)
    assert taken() == [("orders", b"x")]


async def test_more_than_the_rate_is_429_and_says_when_to_come_back(
    settings: Settings, taken: Taken
) -> None:
    settings.RELAY_PUBLISH_PER_SECOND = 2
    twenty = b"x\n" * 20
    assert told(await post("orders", b"x\n" * 21, BATCH)) == (413, "A batch has up to 20 messages.")
    assert done(await post("orders", twenty, BATCH)) == (20, 1)
    for body, kind, seconds in (
        (b"x", "text/plain", "1"),
        (b"x\n" * 9, BATCH, "5"),
        (twenty, BATCH, "10"),
    ):
        response = await post("orders", body, kind)
        assert told(response) == (429, "Up to 2 messages a second (RELAY_PUBLISH_PER_SECOND).")
        assert response["Retry-After"] == seconds
    assert len(taken()) == 20
    assert done(await post("orders", twenty, BATCH, X_Name="somebody else")) == (20, 1)


async def test_the_bucket_fills_again_and_is_forgotten_when_full(
    settings: Settings, redis_server: RedisServer
) -> None:
    settings.RELAY_PUBLISH_PER_SECOND = 1  # a second is long beside what a request takes
    assert done(await post("orders", b"x\n" * 10, BATCH)) == (10, 0)
    assert (await post("orders", b"x")).status_code == 429
    time.sleep(1.05)
    assert done(await post("orders", b"x")) == (1, 0)
    assert (await post("orders", b"x")).status_code == 429
    with redis_server.client() as client:
        [key] = client.keys("relay:rate:*")
        assert 8_000 < client.pttl(key) <= 10_000


async def test_the_same_key_publishes_once_and_gets_the_first_result(
    taken: Taken, redis_server: RedisServer
) -> None:
    first = await post("orders", b"a\nb", BATCH, Idempotency_Key="order 17 ~!")
    assert (done(first), "Idempotency-Replayed" in first) == ((2, 1), False)
    with redis_server.client() as client, client.pubsub() as another:
        another.subscribe("orders")
        another.get_message(timeout=1)
        again = await post("orders", b"a\nb", BATCH, Idempotency_Key="order 17 ~!")
        assert (done(again), again["Idempotency-Replayed"]) == ((2, 1), "true")
        [key] = client.keys("relay:{orders}:once:*")
        assert 86_390 < client.ttl(key) <= 86_400
        assert re.fullmatch(rb"relay:\{orders\}:once:[0-9a-f]{64}", key)
    assert taken() == [("orders", b"a"), ("orders", b"b")]


async def test_another_key_subject_or_channel_is_another_request(taken: Taken) -> None:
    await post("orders", b"1", Idempotency_Key="k")
    await post("orders", b"2", Idempotency_Key="K")
    await post("orders", b"3", Idempotency_Key="k", X_Name="somebody else")
    await post("named", b"4", Idempotency_Key="k")
    await post("orders", b"5")
    await post("orders", b"6")
    assert [message for _, message in taken()] == [b"1", b"2", b"3", b"4", b"5", b"6"]


@pytest.mark.parametrize("key", ["", "x" * 201, "é", "a\tb"])
async def test_a_key_that_cannot_be_one_is_400(taken: Taken, key: str) -> None:
    assert told(await post("orders", b"x", Idempotency_Key=key)) == (
        400,
        "An Idempotency-Key has 1 to 200 printable ASCII characters.",
    )
    assert done(await post("orders", b"x", Idempotency_Key="x" * 200)) == (1, 1)
    assert taken() == [("orders", b"x")]


@pytest.mark.parametrize(
    ("refuse", "allow"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (
            ("ACL", "SETUSER", "default", "resetchannels"),
            ("ACL", "SETUSER", "default", "allchannels"),
        ),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    ],
    ids=["out of memory", "no right to publish", "read only"],
)
async def test_what_redis_refused_may_be_tried_again_with_the_same_key(
    redis_server: RedisServer,
    refuse: tuple[str, ...],
    allow: tuple[str, ...],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with redis_server.client() as client:
        client.execute_command(*refuse)
        response = await post("orders", b"x", Idempotency_Key="k")
        assert told(response) == (503, "Redis refused; nothing was published.")
        assert response["Retry-After"] == "5"
        [record] = [r for r in caplog.records if "could not be published" in r.getMessage()]
        assert (record.__dict__["channels"], record.__dict__["client"]) == (["orders"], "127.0.0.1")
        client.execute_command(*allow)
        with client.pubsub(ignore_subscribe_messages=True) as pubsub:
            pubsub.subscribe("orders")
            pubsub.get_message(timeout=1)
            again = await post("orders", b"x", Idempotency_Key="k")
            assert (done(again), "Idempotency-Replayed" in again) == ((1, 1), False)
            message = pubsub.get_message(timeout=5)
            assert message is not None
            assert message["data"] == b"x"


async def test_a_redis_that_is_away_is_503(redis_server: RedisServer) -> None:
    redis_server.kill()
    response = await post("orders", b"x")
    assert told(response) == (
        503,
        "Redis did not answer; whether anything was published is not known.",
    )
    assert response["Retry-After"] == "1"
    redis_server.start()
    assert done(await post("orders", b"x")) == (1, 0)
