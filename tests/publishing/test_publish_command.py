"""`manage.py relay publish`, against a real Redis."""

import os
import subprocess
import time
from collections.abc import Iterator

import pytest
import redis

from tests.support.command import relay_command_with
from tests.support.servers import RedisServer

pytestmark = pytest.mark.slow  # each starts `manage.py`


@pytest.fixture
def listening(redis_server: RedisServer) -> Iterator["redis.client.PubSub"]:
    with redis_server.client() as client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe("demo_stream")
        pubsub.get_message(timeout=1)
        yield pubsub


def publish(
    redis_server: RedisServer, *words: str, stdin: bytes = b"", url: str = ""
) -> subprocess.CompletedProcess[str]:
    return relay_command_with(stdin, "publish", *words, REDIS_URL=url or redis_server.url)


def taken(pubsub: "redis.client.PubSub", number: int) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < number:
        message = pubsub.get_message(timeout=5)
        assert message is not None, f"only {found}"
        found.append(message["data"])
    assert pubsub.get_message(timeout=0.05) is None
    return found


def test_one_message(redis_server: RedisServer, listening: "redis.client.PubSub") -> None:
    result = publish(redis_server, "demo_stream", "Test Event")
    assert result.returncode == 0
    assert result.stdout == "1 published on demo_stream, the last to 1 subscriber\n"
    assert taken(listening, 1) == [b"Test Event"]


@pytest.mark.parametrize("message", ["--x", "-5", "\N{SNOWMAN}", "", b"\xff\xfe"], ids=repr)
def test_any_message_goes_out_byte_for_byte(
    redis_server: RedisServer, listening: "redis.client.PubSub", message: str | bytes
) -> None:
    result = publish(redis_server, "demo_stream", "--", os.fsdecode(message))
    assert result.stderr == ""
    assert taken(listening, 1) == [os.fsencode(message)]


def test_every_line_of_standard_input_byte_for_byte(
    redis_server: RedisServer, listening: "redis.client.PubSub"
) -> None:
    result = publish(redis_server, "demo_stream", stdin=b"a\r\n\n\xff b\nlast")
    assert result.returncode == 0
    assert taken(listening, 4) == [b"a", b"", b"\xff b", b"last"]


def test_a_channel_that_no_stream_can_have_is_pointed_out(redis_server: RedisServer) -> None:
    result = publish(redis_server, "demo_steam", "x")
    assert result.returncode == 0
    assert result.stdout.startswith("1 published on demo_steam")
    [line] = result.stderr.splitlines()
    assert line == "demo_steam is no channel of RELAY_CHANNELS: no stream has it."


def test_a_load_is_counted_numbered_and_paced(
    redis_server: RedisServer, listening: "redis.client.PubSub"
) -> None:
    start = time.monotonic()
    result = publish(redis_server, "demo_stream", "no. {n}", "--count", "20", "--rate", "100")
    assert result.returncode == 0
    assert time.monotonic() - start >= 0.19
    assert taken(listening, 20) == [b"no. %d" % n for n in range(1, 21)]


@pytest.mark.parametrize(
    ("words", "url", "said"),
    [
        (["demo_stream", "x", "--count", "0"], "", "--count is not valid: 0"),
        (["demo_stream", "x", "--rate", "0"], "", "--rate is not valid: 0"),
        (["demo_stream", "x", "--rate", "nan"], "", "--rate is not valid: nan"),
        (["demo_stream", "x"], "redis://127.0.0.1:1/0", "Redis 127.0.0.1:1: "),
        (["demo_stream", "x"], "http://h", "REDIS_URL is not valid"),
    ],
)
def test_what_cannot_work_is_one_line_that_names_it(
    redis_server: RedisServer, words: list[str], url: str, said: str
) -> None:
    result = publish(redis_server, *words, url=url)
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert said in line
