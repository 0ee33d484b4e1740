"""`POST /publish/<channel>/`: on real hubs."""

from typing import Any

import pytest

from tests.support.client import Stream, ask
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.tokens import TOKEN_KEY, bearer

BATCH = "application/x-ndjson"
PATH = "/publish/demo_stream/"


def post(
    hub: HubProcess, body: bytes, kind: str = BATCH, path: str = PATH, **headers: str
) -> tuple[int, Any]:
    """Status and JSON of the answer."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    names |= {"Content-Type": kind, **bearer(publish=["demo_stream"])}
    found = ask(hub.url, path, "POST", body, names)
    return found.status, found.json()


@pytest.fixture
def start_publisher(start_hub: StartHub) -> StartHub:
    def start(**settings: Any) -> HubProcess:
        return start_hub(RELAY_HTTP_PUBLISH="1", RELAY_TOKEN_KEY=TOKEN_KEY, **settings)

    return start


def test_the_path_works_without_its_last_slash(
    start_publisher: StartHub,
) -> None:
    hub = start_publisher()
    assert post(hub, b"x", path="/publish/demo_stream")[0] == 200


def test_a_key_and_the_rate_hold_across_processes(
    start_publisher: StartHub, redis_server: RedisServer
) -> None:
    hubs = [start_publisher(RELAY_PUBLISH_PER_SECOND=1) for _ in range(2)]
    with Stream(hubs[0].url) as stream:
        hubs[0].wait_for_streams(1)
        for hub in hubs:
            answer = post(hub, b"a\nb\nc", Idempotency_Key="k")
            assert answer == (200, {"published": 3, "subscribers": 2})
        redis_server.publish("the next")
        assert stream.data(4) == ["a", "b", "c", "the next"]
    assert [post(hub, b"x\n" * 4, Idempotency_Key="l")[0] for hub in hubs] == [200, 429]


def test_batches_one_after_the_other_arrive_whole_and_in_order(
    start_publisher: StartHub, redis_server: RedisServer
) -> None:
    hub = start_publisher(RELAY_PUBLISH_PER_SECOND=1_000_000)
    with Stream(hub.url, timeout=30) as stream:
        hub.wait_for_streams(1)
        for first in range(0, 20_000, 1000):
            body = b"\n".join(b'{"n": %d}' % n for n in range(first, first + 1000))
            assert post(hub, body) == (200, {"published": 1000, "subscribers": 1})
        assert stream.data(20_000) == [f'{{"n": {n}}}' for n in range(20_000)]


def test_a_large_body_reaches_the_limits_of_the_channel(
    start_publisher: StartHub,
) -> None:
    hub = start_publisher()
    assert post(hub, b"x" * 1_900_000, "text/plain")[0] == 200
    assert post(hub, b"x" * 3_000_000, "text/plain")[0] == 413
    assert post(hub, (b"x" * 1_000_000 + b"\n") * 8) == (200, {"published": 8, "subscribers": 1})
