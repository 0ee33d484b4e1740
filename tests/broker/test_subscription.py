"""The subscribed connection, on a transport that the test plays."""

import asyncio
import errno
from collections.abc import Sequence

import pytest

from relay.broker.address import RedisAddress
from relay.broker.errors import SubscriptionRefused
from relay.broker.names import Names
from relay.broker.subscription import Subscription


class FakeTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.aborted = self.paused = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


async def connected(
    received: list[bytes], password: str | None = None
) -> tuple[Subscription, FakeTransport, asyncio.Task[None]]:
    """A connection whose subscription to `c` waits for its answer."""

    def receive(messages: Sequence[Sequence[bytes]]) -> None:
        received.extend(message[-1] for message in messages)

    subscription = Subscription(("AUTH", password) if password else (), receive)
    transport = FakeTransport()
    subscription.connection_made(transport)
    subscribed = asyncio.create_task(subscription.subscribe(Names(["c"])))
    await asyncio.sleep(0)
    return subscription, transport, subscribed


def feed(subscription: Subscription, data: bytes) -> None:
    subscription.get_buffer(-1)[: len(data)] = data
    subscription.buffer_updated(len(data))


def push(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)


HELLO = b"+OK\r\n" + b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"


async def test_it_hands_over_every_message_of_one_read_in_order() -> None:
    received: list[bytes] = []
    subscription, transport, subscribed = await connected(received)
    assert transport.written.endswith(b"SUBSCRIBE\r\n$1\r\nc\r\n")
    feed(subscription, HELLO + push(b"message", b"c", b"1") + push(b"message", b"c", b"2"))
    await subscribed
    assert received == [b"1", b"2"]


async def test_reads_may_be_cut_anywhere() -> None:
    wire = (
        HELLO
        + push(b"message", b"c", b"a\r\nb")
        + push(b"pong", b"x")
        + push(b"message", b"c", b"")
    )
    for cut in range(len(wire)):
        received: list[bytes] = []
        subscription, _, _ = await connected(received)
        for part in (wire[:cut], wire[cut:]):
            feed(subscription, part)
        assert received == [b"a\r\nb", b""]


async def test_a_wrong_password_is_a_refusal_without_the_password() -> None:
    subscription, transport, subscribed = await connected([], password="secret-1")
    assert b"AUTH" in transport.written
    feed(subscription, b"-WRONGPASS invalid username-password pair\r\n")
    assert transport.aborted
    subscription.connection_lost(None)
    with pytest.raises(SubscriptionRefused, match="refused AUTH: WRONGPASS") as error:
        await subscribed
    assert "secret-1" not in str(error.value)


async def test_a_refused_name_is_no_reason_to_stop() -> None:
    subscription, transport, subscribed = await connected([])
    feed(subscription, b"-NOPERM no\r\n" + HELLO.removeprefix(b"+OK\r\n"))
    await subscribed
    assert not transport.aborted


async def test_a_refused_subscription_says_so() -> None:
    subscription, _, subscribed = await connected([])
    feed(subscription, b"+OK\r\n-NOPERM this user has no permissions\r\n")
    subscription.connection_lost(None)
    with pytest.raises(SubscriptionRefused, match="refused SUBSCRIBE: NOPERM"):
        await subscribed


async def test_what_is_not_redis_says_so() -> None:
    subscription, transport, subscribed = await connected([])
    feed(subscription, b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert transport.aborted
    subscription.connection_lost(None)
    with pytest.raises(SubscriptionRefused, match="not Redis"):
        await subscribed


async def test_a_timed_out_socket_ends_the_connection_once_and_nothing_spins() -> None:
    received: list[bytes] = []
    subscription, _, subscribed = await connected(received)
    feed(subscription, HELLO)
    await subscribed
    subscription.connection_lost(OSError(errno.ETIMEDOUT, "Connection timed out"))
    assert "timed out" in await subscription.closed
    before = len(asyncio.all_tasks())
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before == 1
    assert received == []


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://127.0.0.1:6379/0", "127.0.0.1:6379"),
        ("redis://user:pa%40ss@example.org:7000/3", "example.org:7000"),
        ("rediss://example.org", "example.org:6379"),
        ("unix:///run/redis.sock?db=1", "/run/redis.sock"),
    ],
)
def test_addresses_are_named_without_secrets(url: str, name: str) -> None:
    assert RedisAddress(url).name == name


@pytest.mark.parametrize("url", ["", "127.0.0.1", "http://127.0.0.1", "redis://h:port/0"])
def test_what_is_no_address_is_a_value_error(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        RedisAddress(url)


async def test_a_pattern_brings_the_channel_of_each_message() -> None:
    received: list[Sequence[bytes]] = []
    subscription = Subscription((), received.extend)
    subscription.connection_made(FakeTransport())
    subscribed = asyncio.create_task(subscription.subscribe(Names([], ["c.*"])))
    await asyncio.sleep(0)
    confirmed = b"+OK\r\n" + b"*3\r\n$10\r\npsubscribe\r\n$3\r\nc.*\r\n:1\r\n"
    feed(subscription, confirmed + push(b"pmessage", b"c.*", b"c.1", b"x"))
    await subscribed
    assert received == [[b"pmessage", b"c.*", b"c.1", b"x"]]


async def test_a_refused_name_leaves_those_that_stand() -> None:
    received: list[bytes] = []
    subscription, transport, subscribed = await connected(received)
    feed(subscription, HELLO)
    await subscribed
    more = asyncio.create_task(subscription.subscribe(Names(["secret"])))
    await asyncio.sleep(0)
    feed(subscription, b"-NOPERM no\r\n" + push(b"message", b"c", b"still"))
    with pytest.raises(SubscriptionRefused, match="refused SUBSCRIBE: NOPERM"):
        await more
    assert received == [b"still"]
    assert not transport.aborted


class ClosingTransport(FakeTransport):
    """As on Python 3.12 and 3.13: a write on a connection that was reset raises TypeError."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.aborted:
            raise TypeError("'NoneType' object is not callable")
        super().write(data)


async def test_nothing_is_written_on_a_connection_that_closes() -> None:
    subscription = Subscription((), lambda messages: None)
    transport = ClosingTransport()
    subscription.connection_made(transport)
    subscribed = asyncio.create_task(subscription.subscribe(Names(["c"])))
    await asyncio.sleep(0)
    feed(subscription, HELLO)
    await subscribed
    written = transport.written
    transport.abort()
    subscription.ping()
    subscription.unsubscribe(Names(["c"], ["d.*"]))
    late = asyncio.create_task(subscription.subscribe(Names(["e"])))
    await asyncio.sleep(0)
    assert transport.written == written
    subscription.connection_lost(ConnectionResetError(errno.ECONNRESET, "reset"))
    with pytest.raises(ConnectionResetError):
        await late
    assert "reset" in await subscription.closed


async def test_a_password_that_is_refused_is_told_by_the_first_question() -> None:
    subscription, transport, subscribed = await connected([], password="wrong")
    asked = asyncio.create_task(subscription.hello())
    await asyncio.sleep(0)
    feed(subscription, b"-WRONGPASS invalid username-password pair\r\n")
    assert transport.aborted
    subscription.connection_lost(None)
    with pytest.raises(SubscriptionRefused, match="AUTH: WRONGPASS"):
        await asked
    with pytest.raises(SubscriptionRefused):
        await subscribed


async def test_a_sharded_channel_that_we_leave_ourselves_is_not_told_to_have_ended() -> None:
    seen: list[bytes] = []
    subscription = Subscription((), lambda messages: seen.extend(m[0] for m in messages))
    subscription.connection_made(FakeTransport())
    subscription.unsubscribe(Names(shard_channels=["s"]))
    ended = b"*3\r\n$12\r\nsunsubscribe\r\n$1\r\ns\r\n:0\r\n"
    feed(subscription, ended)
    assert seen == []
    feed(subscription, ended)  # the server's own word: the slot has another owner
    assert seen == [b"sunsubscribe"]
