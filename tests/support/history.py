"""What stands in the history of `demo_stream`, and clients that read numbers from it."""

from typing import Any

from httpx_sse import ServerSentEvent

from relay.wire.position import Position
from tests.support.client import Stream
from tests.support.servers import HubProcess, RedisServer
from tests.support.waiting import wait_until

LOG = "relay:{demo_stream}:log"


def publish(redis_server: RedisServer, first: int, last: int) -> None:
    """Publishes the numbers from `first` to `last`."""
    with redis_server.client() as client:
        pipe = client.pipeline(transaction=False)
        for n in range(first, last + 1):
            pipe.publish("demo_stream", str(n))
        pipe.execute()


def numbers(first: int, last: int) -> list[str]:
    return [str(n) for n in range(first, last + 1)]


def read_to(stream: Stream, data: str) -> list[ServerSentEvent]:
    """The events up to the one with this data."""
    events = []
    for event in stream.events():
        events.append(event)
        if event.data == data:
            return events
    raise AssertionError(f"the stream ended before {data}")


def shown(events: list[ServerSentEvent]) -> list[str]:
    """The data of messages; of a gap its reason and count."""
    return [
        f"{e.json()['reason']} {e.json()['missed']}" if e.event == "hub.gap" else e.data
        for e in events
    ]


def entries(redis_server: RedisServer) -> list[tuple[str, dict[bytes, bytes]]]:
    """Ids and fields of all entries of the history."""
    with redis_server.client() as client:
        found: Any = client.xrange(LOG)
    return [(i.decode(), fields) for i, fields in found]


def logged(redis_server: RedisServer) -> list[Position]:
    """The positions of all entries of the history."""
    return [position(i) for i, _ in entries(redis_server)]


def newest(redis_server: RedisServer) -> Position:
    """The position of the newest entry, or one before all."""
    with redis_server.client() as client:
        found: Any = client.xrevrange(LOG, count=1)
    return position(found[0][0].decode()) if found else Position(0, 0)


def position(event_id: str) -> Position:
    """The position that an id names."""
    found = Position.parse(event_id)
    assert found is not None, event_id
    return found


def wait_until_logged(redis_server: RedisServer, event_id: str) -> None:
    wait_until(lambda: str(newest(redis_server)) == event_id, f"{event_id} is in the history")


def collect(hub: HubProcess, redis_server: RedisServer, number: int) -> list[ServerSentEvent]:
    """Publishes 1 to `number` and returns their events, when all of them are in the history."""
    with Stream(hub.url) as stream:
        hub.wait_for_streams(1)
        publish(redis_server, 1, number)
        events = read_to(stream, str(number))
    wait_until_logged(redis_server, events[-1].id)
    return events
