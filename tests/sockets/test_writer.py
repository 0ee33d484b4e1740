"""The writer of a stream's socket: what the kernel takes, what is kept, and how it ends."""

import asyncio
import select
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from relay.feed.writer import Chunk
from relay.sockets.poller import Poller
from relay.sockets.writer import SocketWriter

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
LARGE = Chunk(b"x" * 4_000_000)

BUFFER_BYTES = 65_536
"""So that the kernel never takes a large chunk whole, whatever it has learnt of the loopback interface."""


class Pair:
    """A writer, and its client."""

    def __init__(self, poller: Poller, *, chunked: bool = True) -> None:
        server = socket.create_server(("127.0.0.1", 0))
        self.client = socket.socket()
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self.client.connect(server.getsockname())
        sock, _ = server.accept()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        server.close()
        sock.setblocking(False)
        self.client.setblocking(False)
        self.gone = asyncio.Event()
        self.times_ready = 0
        self.writer = SocketWriter(poller, sock, HEAD, chunked=chunked)
        self.writer.on_gone(self.gone.set)
        self.writer.on_ready(self._ready)

    def _ready(self) -> None:
        self.times_ready += 1

    async def read(self, number: int) -> bytes:
        data = b""
        async with asyncio.timeout(5):
            while len(data) < number:
                part = await asyncio.get_running_loop().sock_recv(self.client, number - len(data))
                if not part:
                    break
                data += part
        return data

    async def read_all(self) -> bytes:
        return await self.read(1 << 30)

    async def is_gone(self) -> None:
        await asyncio.wait_for(self.gone.wait(), 5)


@pytest.fixture
async def poller() -> AsyncIterator[Poller]:
    poller = Poller()
    poller.open()
    yield poller
    poller.close()


@pytest.fixture
async def pair(poller: Poller) -> AsyncIterator[Pair]:
    pair = Pair(poller)
    yield pair
    pair.client.close()
    pair.writer.abort()


async def test_the_head_goes_out_with_the_first_chunk_and_once(pair: Pair) -> None:
    assert pair.writer.send(Chunk(b"one"))
    assert pair.writer.send(Chunk(b"two"))
    pair.writer.send_head()
    expected = HEAD + b"3\r\none\r\n3\r\ntwo\r\n"
    assert await pair.read(len(expected)) == expected


async def test_a_head_without_a_chunk_goes_out_alone(pair: Pair) -> None:
    pair.writer.send_head()
    assert await pair.read(len(HEAD)) == HEAD
    assert pair.writer.send(Chunk(b""))  # no empty chunk: it would end the body


async def test_a_full_writer_keeps_the_rest_and_says_when_it_is_ready(pair: Pair) -> None:
    assert not pair.writer.send(LARGE)
    await asyncio.sleep(0.1)  # the kernel of the client takes what it has room for
    before = pair.writer.progress()
    await asyncio.sleep(0.1)
    assert pair.times_ready == 0
    assert pair.writer.progress() == before  # the client has read nothing
    data = await pair.read(len(HEAD) + len(LARGE.framed))
    assert data == HEAD + LARGE.framed
    assert pair.times_ready == 1
    assert pair.writer.progress() != before
    assert pair.writer.send(Chunk(b"more"))


async def test_the_end_waits_for_what_is_kept_and_closes(pair: Pair) -> None:
    assert not pair.writer.send(LARGE)
    pair.writer.finish(Chunk(b"bye"))
    assert pair.writer.progress() is not None
    assert await pair.read_all() == HEAD + LARGE.framed + b"3\r\nbye\r\n0\r\n\r\n"
    await pair.is_gone()
    assert pair.writer.progress() is None


async def test_before_http_1_1_the_end_is_that_of_the_connection(poller: Poller) -> None:
    pair = Pair(poller, chunked=False)
    pair.writer.send(Chunk(b"one"))
    pair.writer.finish(Chunk(b"bye"))
    assert await pair.read_all() == HEAD + b"onebye"
    await pair.is_gone()
    pair.client.close()


async def test_what_a_client_has_sent_does_not_destroy_the_end(pair: Pair) -> None:
    """Closing with unread bytes resets the connection, and a reset may overtake the end."""
    pair.client.send(b"GET / HTTP/1.1\r\n\r\n" * 1000)
    await asyncio.sleep(0.05)
    pair.writer.finish(Chunk(b"bye"))
    assert await pair.read_all() == HEAD + b"3\r\nbye\r\n0\r\n\r\n"  # ends without ECONNRESET


@pytest.mark.parametrize("how", ["close", "reset", "half"])
async def test_a_client_that_leaves_is_noticed(pair: Pair, how: str) -> None:
    pair.writer.send_head()
    await pair.read(len(HEAD))
    if how == "half":
        pair.client.shutdown(socket.SHUT_WR)
    else:
        if how == "reset":
            linger = struct.pack("ii", 1, 0)
            pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        pair.client.close()
    await pair.is_gone()
    assert not pair.writer.send(Chunk(b"nobody"))
    pair.writer.finish(Chunk(b"nobody"))
    pair.writer.abort()


async def test_a_client_that_floods_costs_nothing_and_is_not_read(pair: Pair) -> None:
    with suppress(BlockingIOError):
        while True:
            pair.client.send(b"x" * 65_536)
    assert pair.writer.send(Chunk(b"one"))
    assert await pair.read(len(HEAD) + 8) == HEAD + b"3\r\none\r\n"
    assert not pair.gone.is_set()


async def test_an_abort_resets_the_connection(pair: Pair) -> None:
    assert not pair.writer.send(LARGE)
    pair.writer.abort()
    with pytest.raises(ConnectionResetError):
        await pair.read_all()
    await pair.is_gone()


async def test_a_writer_that_has_gone_says_so_at_once(pair: Pair) -> None:
    pair.writer.abort()
    late = asyncio.Event()
    pair.writer.on_gone(late.set)
    await asyncio.wait_for(late.wait(), 5)


async def test_events_for_a_socket_that_an_earlier_event_closed_are_dropped(poller: Poller) -> None:
    pairs = [Pair(poller) for _ in range(50)]
    for pair in pairs:
        pair.writer.on_gone(lambda: None)

    class Neighbour:
        """Ends all writers in one event, while theirs are in the same batch."""

        def on_event(self, mask: int) -> None:
            for pair in pairs:
                pair.writer.abort()
            poller.forget(first.fileno())

        def abort(self) -> None:
            raise AssertionError

    first, other = socket.socketpair()
    poller.watch(first.fileno(), Neighbour(), select.EPOLLIN)
    other.send(b"x")
    for pair in pairs:
        pair.client.close()
    await asyncio.sleep(0.1)
    assert all(pair.writer.progress() is None for pair in pairs)
    first.close()
    other.close()


async def test_a_watcher_that_fails_is_cut_and_harms_no_other(
    poller: Poller, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Pair(poller)

    def fail() -> None:
        raise RuntimeError("injected")

    failing.writer.on_ready(fail)
    assert not failing.writer.send(LARGE)
    assert not pair.writer.send(LARGE)
    all_of_it = len(HEAD) + len(LARGE.framed)
    _, read = await asyncio.gather(failing.read(all_of_it), pair.read(all_of_it))
    assert len(read) == all_of_it
    await failing.is_gone()
    assert "The socket of a stream failed" in caplog.text
    failing.client.close()
