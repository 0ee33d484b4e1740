"""Opens streams in the process of a test."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.test import AsyncClient, override_settings
from django.urls import get_script_prefix

from relay import conf
from relay.engine.lifespan import passing_hub
from relay.http.application import RelayApplication
from relay.server.embedded_redis import EmbeddedRedis
from relay.types import Message

WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Event:
    """An event as an EventSource gets it."""

    data: str
    type: str = "message"
    id: str = ""

    def json(self) -> Any:
        return json.loads(self.data)


class Stream:
    """An open stream, or a refusal: then `status` is not 200 and `problem` says why."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.problem: Mapping[str, Any] = {}
        self.last_id = ""
        """What a browser would send as Last-Event-ID."""
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._begun = asyncio.Event()
        self._rest = b""

    async def event(self, seconds: float = WAIT_SECONDS) -> Event:
        """The next event. Raises TimeoutError when none comes, EOFError at the end of the stream."""
        event = await asyncio.wait_for(self._events.get(), seconds)
        if event is None:
            self._events.put_nowait(None)
            raise EOFError("The stream has ended.")
        return event

    async def begun(self) -> None:
        """Returns when everything that is published from now on arrives, or at a refusal."""
        await self._begun.wait()

    async def send(self, message: Message) -> None:
        """Takes what the application sends."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            pairs = message["headers"]
            self.headers = {name.decode().lower(): value.decode() for name, value in pairs}
            return
        if self.status == 200:
            self._read(message["body"])
        elif message["body"]:
            self.problem = json.loads(message["body"])
        if not message.get("more_body"):
            self._events.put_nowait(None)
        if self.last_id or not self._events.empty():
            self._begun.set()

    def _read(self, chunk: bytes) -> None:
        """Reads an event stream (WHATWG HTML, 9.2.6) with the line ends that the hub writes."""
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
                    self.last_id = value
        if data:
            self._events.put_nowait(Event("\n".join(data), kind, self.last_id))


@asynccontextmanager
async def open_stream(
    *channels: str, user: Any = None, headers: Mapping[str, str] | None = None, **query: Any
) -> AsyncIterator[Stream]:
    """Opens a stream in this process, as a browser does in which `user` is signed in.

    `query` holds the other fields of the address (`rewind=20`, `token=…`). The block begins when
    everything that is published from then on arrives, or with a refusal.
    """
    address = urlencode({"channel": channels, **query} if channels else query, doseq=True)
    fields = {"Host": "localhost", "Accept": "text/event-stream", **(headers or {})}
    if user is not None:
        fields["Cookie"] = await _cookies(user)
    with override_settings(ALLOWED_HOSTS=["localhost"]):
        async with passing_hub(), _connected(_scope(address, fields)) as stream:
            yield stream


@contextmanager
def redis_server() -> Iterator[str]:
    """A Redis of its own for the block, which keeps nothing; REDIS_URL leads to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with EmbeddedRedis(port) as server, override_settings(REDIS_URL=server.url):
        yield server.url


@asynccontextmanager
async def _connected(scope: dict[str, Any]) -> AsyncIterator[Stream]:
    stream, left = Stream(), asyncio.Event()
    messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    application = RelayApplication(None, conf.load().stream_path)
    serving = asyncio.create_task(application(scope, receive, stream.send))
    try:
        await _wait(stream)
        yield stream
    finally:
        left.set()
        await serving


async def _wait(stream: Stream) -> None:
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await stream.begun()
    except TimeoutError:
        text = f"No stream within {WAIT_SECONDS:g} s: is there a Redis at REDIS_URL?"
        raise TimeoutError(text) from None


async def _cookies(user: Any) -> str:
    client = AsyncClient()
    await client.aforce_login(user)
    return "; ".join(f"{morsel.key}={morsel.value}" for morsel in client.cookies.values())


def _scope(query: str, headers: Mapping[str, str]) -> dict[str, Any]:
    root = get_script_prefix()
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": root + conf.load().stream_path,
        "root_path": root.rstrip("/"),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 0),
        "server": ("localhost", 80),
    }
