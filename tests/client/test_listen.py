"""`relay.client` on a real hub, through a proxy that cuts, stalls and answers by itself; both loops."""

import asyncio
import inspect
import threading
import time
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import httpx
import pytest

from relay.client import Event, Gap, Listening, Message, Oversize, StreamRefused, listen
from tests.support.proxy import Proxy
from tests.support.servers import HubProcess, RedisServer
from tests.support.tokens import bearer, token
from tests.support.waiting import until, wait_until


class Reader(threading.Thread):
    """Reads with one of the two loops until `number` events have come, or it is refused."""

    def __init__(self, listening: Listening, number: int) -> None:
        super().__init__(daemon=True)
        self.listening = listening
        self.number = number
        self.events: list[Event] = []
        self.error: Exception | None = None

    def read(self) -> None:
        for event in self.listening:
            self.events.append(event)
            if len(self.events) == self.number:
                return

    def run(self) -> None:
        try:
            self.read()
        except Exception as error:
            self.error = error

    def wait(self, seconds: float = 20.0) -> list[Event]:
        self.join(seconds)
        assert not self.is_alive(), self.events[-3:]
        if self.error is not None:
            raise self.error
        return self.events

    def wait_for_place(self) -> None:
        """Returns when the stream has begun: what is published from now on, it brings."""
        wait_until(lambda: self.listening.last_event_id, "the stream has begun")

    @property
    def data(self) -> list[str]:
        return [event.data for event in self.events if isinstance(event, Message)]


class AsyncReader(Reader):
    def read(self) -> None:
        asyncio.run(self._read())

    async def _read(self) -> None:
        async for event in self.listening:
            self.events.append(event)
            if len(self.events) == self.number:
                return


Read = Callable[..., Reader]


@pytest.fixture(params=[Reader, AsyncReader], ids=["for", "async-for"])
def read(request: pytest.FixtureRequest) -> Read:
    def read(url: str, number: int = 1, **options: Any) -> Reader:
        reader: Reader = request.param(listen(url, **options), number)
        reader.start()
        return reader

    return read


@pytest.fixture
def hub(client_hub: HubProcess) -> HubProcess:
    return client_hub


def test_messages_gaps_and_oversize_notices(
    hub: HubProcess, redis_server: RedisServer, read: Read
) -> None:
    url = f"{hub.url}/stream/?channel=small"
    reader = read(url, 3, last_event_id="5-5")
    wait_until(lambda: reader.events, "the gap has come")
    redis_server.publish("x" * 999, "small")
    redis_server.publish("zwei \N{SNOWMAN}\nlines", "small")
    gap, oversize, message = reader.wait()
    assert isinstance(gap, Gap)
    assert (gap.channel, gap.missed, gap.reason) == ("small", None, "unheard")
    assert isinstance(oversize, Oversize)
    assert (oversize.channel, oversize.max_bytes) == ("small", 300)
    assert message == Message("small", reader.listening.last_event_id, "zwei \N{SNOWMAN}\nlines")
    assert gap.id < oversize.id < message.id


def test_several_channels_a_wildcard_and_named_events(
    hub: HubProcess, redis_server: RedisServer, read: Read
) -> None:
    reader = read(f"{hub.url}/stream/", 3, channels=["news", "orders.*", "named"])
    reader.wait_for_place()
    redis_server.publish("n", "news")
    redis_server.publish("o", "orders.x y&=%")
    redis_server.publish('{"event": "price", "data": {"eur": 12}}', "named")
    events = {e.channel: e for e in reader.wait() if isinstance(e, Message)}
    assert [events[name].data for name in ("news", "orders.x y&=%")] == ["n", "o"]
    assert (events["named"].event, events["named"].json()) == ("price", {"eur": 12})


def test_it_starts_where_it_is_asked_to(
    hub: HubProcess, redis_server: RedisServer, read: Read
) -> None:
    url = f"{hub.url}/stream/"
    first = read(url, 3)
    first.wait_for_place()
    redis_server.publish("a")
    redis_server.publish("b")
    time.sleep(0.1)
    between = datetime.now(UTC)
    time.sleep(0.1)
    redis_server.publish("c")
    ids = [event.id for event in first.wait()]
    for options, data in (
        ({"rewind": 2}, ["b", "c"]),
        ({"rewind": "all"}, ["a", "b", "c"]),
        ({"since": between}, ["c"]),
        ({"since": between.astimezone().replace(tzinfo=None)}, ["c"]),
        ({"since": int(between.timestamp() * 1000)}, ["c"]),
        ({"last_event_id": ids[0]}, ["b", "c"]),
        ({"last_event_id": ids[0], "rewind": "all"}, ["b", "c"]),
    ):
        reader = read(url, len(data), **options)
        reader.wait()
        assert reader.data == data, options
    gap, *messages = read(url, 4, since="1h").wait()  # the hub is younger than that
    assert isinstance(gap, Gap)
    assert [event.id for event in messages] == ids


@pytest.mark.parametrize("channels", [["demo_stream"], ["news", "orders.*"]], ids=",".join)
def test_two_thousand_messages_with_a_cut_every_200_ms(
    proxy: Proxy, redis_server: RedisServer, read: Read, channels: list[str]
) -> None:
    number = 2000
    names = [name.replace("*", "7") for name in channels]
    reader = read(f"{proxy.url}/stream/", number, channels=channels)
    reader.wait_for_place()
    with redis_server.client() as client, proxy.cutting(0.2):
        for n in range(number):
            client.publish(names[n % len(names)], n)
            time.sleep(0.0015)
    events = reader.wait()
    for position, name in enumerate(names):
        data = [e.data for e in events if isinstance(e, Message) and e.channel == name]
        assert data == [str(n) for n in range(position, number, len(names))]


@pytest.mark.parametrize("status", [502, 503, 429])
def test_what_passes_is_tried_again(
    proxy: Proxy, redis_server: RedisServer, read: Read, status: int
) -> None:
    reader = read(f"{proxy.url}/stream/", 2)
    reader.wait_for_place()
    redis_server.publish("before")
    wait_until(lambda: reader.data, "it came")
    proxy.status = status
    proxy.reset()
    asked = proxy.accepted
    wait_until(lambda: proxy.accepted > asked + 1, "it asks twice")
    redis_server.publish("meanwhile")
    proxy.status = None
    reader.wait()
    assert reader.data == ["before", "meanwhile"]


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/stream/?channel=nowhere", 404, "There is no such channel."),
        ("/stream/?channel=private.1", 401, "Sign in to see this channel."),
        ("/stream/?rewind=some", 400, "rewind is not valid"),
        ("/health/", 200, "The answer is no event stream."),
    ],
)
def test_a_refusal_ends_the_loop(
    hub: HubProcess, read: Read, path: str, status: int, detail: str
) -> None:
    with pytest.raises(StreamRefused, match=detail) as raised:
        read(f"{hub.url}{path}").wait()
    assert raised.value.status == status


def test_a_connection_that_died_without_a_word_is_replaced(
    proxy: Proxy, redis_server: RedisServer, read: Read
) -> None:
    reader = read(f"{proxy.url}/stream/", 2)
    reader.wait_for_place()
    redis_server.publish("before")
    wait_until(lambda: reader.data, "it came")
    proxy.stalls = True
    asked = proxy.accepted
    wait_until(lambda: proxy.accepted > asked, "it asks again", 5)
    redis_server.publish("meanwhile")
    proxy.stalls = False
    proxy.reset()
    reader.wait()
    assert reader.data == ["before", "meanwhile"]


def test_tokens_are_renewed_before_they_expire(
    hub: HubProcess, redis_server: RedisServer, read: Read
) -> None:
    asked: list[tuple[float, int]] = []

    def fresh() -> str:
        asked.append((time.time(), int(time.time() + 3)))
        return token(exp=asked[-1][1])

    reader = read(f"{hub.url}/stream/", 60, channels=["private.1"], token=fresh)
    reader.wait_for_place()
    for n in range(60):
        redis_server.publish(f"{n}", "private.1")
        time.sleep(0.1)
    reader.wait()
    assert reader.data == [f"{n}" for n in range(60)]
    assert len(asked) >= 3
    assert all(at < expires for (_, expires), (at, _) in pairwise(asked))


def test_a_refused_token_is_replaced_once(hub: HubProcess, read: Read) -> None:
    asked: list[str] = []

    def stale() -> str:
        asked.append("")
        return token(exp=int(time.time() - 5))

    with pytest.raises(StreamRefused, match="401: The token has expired"):
        read(f"{hub.url}/stream/?channel=private.1", token=stale).wait()
    assert len(asked) == 2


async def test_an_async_function_may_return_the_token(
    hub: HubProcess, redis_server: RedisServer
) -> None:
    async def fresh() -> str:
        return token()

    listening = listen(f"{hub.url}/stream/", channels=["private.1"], token=fresh)
    assert inspect.isasyncgen(aiter(listening))
    reading = asyncio.ensure_future(anext(aiter(listening)))
    await until(lambda: listening.last_event_id)
    redis_server.publish("private", "private.1")
    event = await asyncio.wait_for(reading, 5)
    assert isinstance(event, Message)
    assert event.data == "private"
    with pytest.raises(TypeError, match="async for"):
        next(iter(listen(hub.url, token=fresh)))


def test_fields_of_the_caller_go_with_every_request(
    proxy: Proxy, redis_server: RedisServer, read: Read
) -> None:
    fields = {"authorization": bearer()["Authorization"], "accept": "text/event-stream"}
    reader = read(f"{proxy.url}/stream/", 2, channels=["private.1"], headers=fields)
    reader.wait_for_place()
    redis_server.publish("a", "private.1")
    wait_until(lambda: reader.data, "it came")
    proxy.reset()
    redis_server.publish("b", "private.1")
    reader.wait()
    assert reader.data == ["a", "b"]


def test_a_loop_that_is_left_closes_its_connection(
    hub: HubProcess, redis_server: RedisServer, read: Read
) -> None:
    reader = read(f"{hub.url}/stream/")
    reader.wait_for_place()
    redis_server.publish("one")
    reader.wait()
    hub.wait_for_streams(0)


async def test_an_async_loop_that_is_left_inside_aclosing_is_over_at_once(
    hub: HubProcess, redis_server: RedisServer
) -> None:
    def publish() -> None:
        hub.wait_for_streams(1)
        redis_server.publish("one")

    publisher = asyncio.create_task(asyncio.to_thread(publish))
    async with asyncio.timeout(10), aclosing(aiter(listen(f"{hub.url}/stream/"))) as events:
        async for event in events:
            assert isinstance(event, Message)
            break
    await publisher
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    hub.wait_for_streams(0)


def test_a_second_loop_goes_on_where_the_first_was_left(
    hub: HubProcess, redis_server: RedisServer
) -> None:
    listening = listen(f"{hub.url}/stream/")
    first = Reader(listening, 1)
    first.start()
    first.wait_for_place()
    redis_server.publish("a")
    first.wait()
    redis_server.publish("b")
    second = Reader(listening, 1)
    second.start()
    second.wait()
    assert second.data == ["b"]


def test_a_lost_connection_of_the_token_function_is_one_of_the_stream(
    hub: HubProcess, redis_server: RedisServer, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.client.session.RETRY_SECONDS", 0.05)
    errors: list[Exception] = [httpx.ConnectError("no"), TimeoutError(), ConnectionResetError()]

    def fresh() -> str:
        if errors:
            raise errors.pop()
        return token()

    options = {"channels": ["private.1"], "token": fresh}
    reader = read(f"{hub.url}/stream/", **options)
    reader.wait_for_place()
    redis_server.publish("private", "private.1")
    reader.wait()
    errors.append(PermissionError("sign in"))
    with pytest.raises(PermissionError, match="sign in"):
        read(f"{hub.url}/stream/", **options).wait()


def test_a_text_is_no_list_of_channels() -> None:
    with pytest.raises(TypeError, match="Use a list of names"):
        listen("http://127.0.0.1/", channels="news")


@pytest.mark.parametrize(
    "url",
    [
        *("", "127.0.0.1/stream/", "ftp://127.0.0.1/", "http://", "http://[::"),
        *("http://a:b/", "http://a:99999/", "http://\N{SNOWMAN}\u200b.example/"),
    ],
)
def test_an_address_that_is_none_is_refused_before_the_loop(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        listen(url)
