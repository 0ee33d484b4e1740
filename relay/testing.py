"""For the tests of a site: what it publishes, and what its streams deliver (docs/django.md)."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.db import connections
from django.test import AsyncClient, override_settings
from django.urls import get_script_prefix

from relay import conf
from relay.engine.lifespan import passing_hub
from relay.http.application import RelayApplication
from relay.publishing import outlet
from relay.publishing.once import Published
from relay.publishing.outlet import Outgoing
from relay.server.embedded_redis import EmbeddedRedis
from relay.types import Message
from relay.wire.envelope import unwrap

__all__ = ["Captured", "Event", "Stream", "capture", "open_stream", "redis_server"]

WAIT_SECONDS = 5.0


# -- what is published


@dataclass(frozen=True, slots=True)
class Captured:
    """A message that was published.

    `data` is a JSON object or array as Python has it, other text as `str`, and what is not UTF-8 as
    `bytes`. `event` is the name of a named event.
    """

    channel: str
    data: Any
    event: str | None = None


@contextmanager
def capture() -> Iterator[list[Captured]]:
    """Keeps what is published in the block, in every thread; nothing of it reaches Redis.

    What waits for the commit of a transaction that encloses the block is there at the end of it.
    """
    kept = _Kept()
    before = {c.alias: len(c.run_on_commit) for c in connections.all(initialized_only=True)}
    with outlet.replaced(kept):
        yield kept.messages
        for connection in connections.all(initialized_only=True):
            _commit(connection, before.get(connection.alias, 0))


class _Kept:
    """An outlet that keeps everything."""

    def __init__(self) -> None:
        self.messages: list[Captured] = []

    def send(self, outgoing: Outgoing) -> Published:
        self.messages += [_captured(outgoing.channel, each) for each in outgoing.messages]
        return Published(len(outgoing.messages), 0, again=False)

    async def asend(self, outgoing: Outgoing) -> Published:
        return self.send(outgoing)

    async def take(self, subject: str, per_second: int, number: int) -> float:
        return 0.0


def _commit(connection: Any, first: int) -> None:
    """Runs what relay registered since, and leaves all else to whoever tests it."""
    callbacks = connection.run_on_commit[first:]
    ours = [entry for entry in callbacks if entry[1].__module__ == "relay.publishing.api"]
    connection.run_on_commit[first:] = [entry for entry in callbacks if entry not in ours]
    for entry in ours:
        entry[1]()


def _captured(channel: str, payload: bytes) -> Captured:
    target = conf.load_catalogue().find(channel)
    envelope = unwrap(payload) if target is not None and target.spec.envelope else None
    if envelope is None:
        return Captured(channel, _decoded(payload))
    return Captured(channel, _decoded(envelope.data), envelope.event)


def _decoded(payload: bytes) -> Any:
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return payload
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict | list) else text


# -- what a stream delivers


@contextmanager
def redis_server() -> Iterator[str]:
    """A Redis of its own for the block, which keeps nothing; REDIS_URL leads to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    url = f"redis://127.0.0.1:{port}/0"
    with EmbeddedRedis(port), override_settings(REDIS_URL=url):
        yield url


@dataclass(frozen=True, slots=True)
class Event:
    """An event as an EventSource gets it."""

    data: str
    type: str = "message"
    id: str = ""

    def json(self) -> Any:
        return json.loads(self.data)


@dataclass(slots=True)
class Stream:
    """An open stream, or a refusal: then `status` is not 200 and `problem` says why."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    problem: dict[str, Any] = field(default_factory=dict)
    last_id: str = ""
    """What a browser would send as Last-Event-ID."""
    _events: "asyncio.Queue[Event | None]" = field(default_factory=asyncio.Queue)

    async def event(self, seconds: float = WAIT_SECONDS) -> Event:
        """The next event. Raises TimeoutError when none comes, EOFError at the end of the stream."""
        event = await asyncio.wait_for(self._events.get(), seconds)
        if event is None:
            self._events.put_nowait(None)
            raise EOFError("The stream has ended.")
        return event


@asynccontextmanager
async def open_stream(
    *channels: str, user: Any = None, headers: dict[str, str] | None = None, **query: Any
) -> AsyncIterator[Stream]:
    """Opens a stream in this process, as a browser does in which `user` is signed in.

    `query` holds the other fields of the address (`rewind=20`, `token=…`). The block begins when
    everything that is published from then on arrives, or with a refusal.
    """
    address = urlencode({"channel": channels, **query} if channels else query, doseq=True)
    fields = {"Host": "localhost", "Accept": "text/event-stream", **(headers or {})}
    if user is not None:
        client = AsyncClient()
        await client.aforce_login(user)
        fields["Cookie"] = "; ".join(f"{m.key}={m.value}" for m in client.cookies.values())
    with override_settings(ALLOWED_HOSTS=["localhost"]):
        async with passing_hub():
            connection = _Connection()
            task = asyncio.create_task(connection.run(_scope(address, fields)))
            try:
                await connection.begun(task)
                yield connection.stream
            finally:
                connection.leave()
                await task


class _Connection:
    """Both ends of an ASGI connection."""

    def __init__(self) -> None:
        self.stream = Stream()
        self._reader = _Reader(self.stream)
        self._begun = asyncio.Event()
        self._left = asyncio.Event()
        self._asked = False

    async def run(self, scope: dict[str, Any]) -> None:
        await RelayApplication(None, conf.load().stream_path)(scope, self._receive, self._send)

    async def begun(self, task: "asyncio.Task[None]") -> None:
        waiting = asyncio.create_task(self._begun.wait())
        await asyncio.wait({waiting, task}, timeout=WAIT_SECONDS, return_when="FIRST_COMPLETED")
        waiting.cancel()
        if not self._begun.is_set():
            raise TimeoutError(f"No stream within {WAIT_SECONDS:g} s: is there a Redis?")

    def leave(self) -> None:
        self._left.set()

    async def _receive(self) -> Message:
        if self._asked:
            await self._left.wait()
            return {"type": "http.disconnect"}
        self._asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.stream.status = message["status"]
            pairs = message["headers"]
            self.stream.headers = {name.decode().lower(): value.decode() for name, value in pairs}
            return
        if self.stream.status == 200:
            self._reader.feed(message["body"])
        elif message["body"]:
            self.stream.problem = json.loads(message["body"])
        ended = not message.get("more_body")
        if ended:
            self.stream._events.put_nowait(None)
        if ended or self.stream.last_id or not self.stream._events.empty():
            self._begun.set()


class _Reader:
    """Reads the format of event streams (WHATWG HTML, 9.2.6), with the line ends that the hub writes."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        *blocks, self._rest = (self._rest + chunk).split(b"\n\n")
        for block in blocks:
            self._take(block.decode())

    def _take(self, block: str) -> None:
        data, kind = [], "message"
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            match name:
                case "data":
                    data.append(value)
                case "event":
                    kind = value
                case "id":
                    self._stream.last_id = value
        if data:
            self._stream._events.put_nowait(Event("\n".join(data), kind, self._stream.last_id))


def _scope(query: str, headers: dict[str, str]) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": get_script_prefix() + conf.load().stream_path,
        "root_path": get_script_prefix().rstrip("/"),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 0),
        "server": ("localhost", 80),
    }
