"""The loops that read a stream: one for threads, one for event loops."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Literal

import httpx

from relay.client.events import Event
from relay.client.session import Session
from relay.client.token import Token, TokenSource

CONNECT_SECONDS = 10.0

_PASSING = (
    httpx.TimeoutException,
    httpx.NetworkError,
    httpx.ProxyError,
    httpx.RemoteProtocolError,
    ConnectionError,
    TimeoutError,
)
"""What another request may not meet again. The last two also come from functions that get tokens."""


def listen(
    url: str,
    *,
    channels: Sequence[str] = (),
    token: TokenSource = None,
    last_event_id: str = "",
    rewind: int | Literal["all"] | None = None,
    since: datetime | str | int | None = None,
    latest: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> "Listening":
    """Returns the events of a stream, for `for` or `async for`. The loop never ends by itself.

    It reconnects, for as long as it takes, and resumes after the last event: each message of a
    channel comes once and in order, and a Gap stands for what is missing. It waits as the hub's
    `retry:` and `Retry-After` say, then longer, with jitter. A connection that is silent for 2.5
    heartbeats is replaced.

    `channels` are names and wildcards; without any it is the hub's own channel. `token` is a token or
    a function that returns one (async too, for `async for`). The function is called before the first
    request, before the token expires, and once after each 401. `last_event_id` is the id of an earlier
    event. `rewind` (a number, or "all"), `since` (a time, Unix milliseconds, or a span such as "10m")
    and `latest` (seconds) are those of docs/protocol.md. `headers` go with every request.

    Raises ValueError for an address that is none, TypeError for channels that are no list.
    The loop raises StreamRefused where the hub would refuse it again (400, 401, 403, 404 …), and what
    the token function raises, but for lost connections and timeouts, after which it tries again.
    """
    if isinstance(channels, str):
        raise TypeError("channels is a text. Use a list of names.")
    # A time without a zone is local time, as everywhere in Python.
    when = since.astimezone().isoformat() if isinstance(since, datetime) else since
    given = {"rewind": rewind, "since": when, "latest": latest}
    query = {name: str(value) for name, value in given.items() if value is not None}
    session = Session(url, channels, last_event_id, query)
    try:
        httpx.URL(session.url)
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from None
    return Listening(session, Token(token), headers or {})


class Listening:
    """A stream that is read with `for` or `async for`. A second loop goes on where the first was left."""

    def __init__(self, session: Session, token: Token, headers: Mapping[str, str]) -> None:
        self._session = session
        self._token = token
        self._headers = headers

    @property
    def last_event_id(self) -> str:
        """The place after the last event that the loop was given; empty before the stream has begun."""
        return self._session.last_event_id

    def __iter__(self) -> Generator[Event, None, None]:
        with httpx.Client(headers=self._headers, follow_redirects=True) as client:
            while True:
                try:
                    for piece in self._pieces(client):
                        yield from self._session.events(piece)
                    seconds = self._session.ended()
                except _PASSING as error:
                    seconds = self._session.failed(error)
                except _Again as again:
                    seconds = again.seconds
                time.sleep(seconds)

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        async with httpx.AsyncClient(headers=self._headers, follow_redirects=True) as client:
            while True:
                try:
                    async with aclosing(self._apieces(client)) as pieces:
                        async for piece in pieces:
                            for event in self._session.events(piece):
                                yield event
                    seconds = self._session.ended()
                except _PASSING as error:
                    seconds = self._session.failed(error)
                except _Again as again:
                    seconds = again.seconds
                await asyncio.sleep(seconds)

    # -- one request

    def _pieces(self, client: httpx.Client) -> Generator[bytes, None, None]:
        """Yields the body of a stream. Raises _Again for another answer."""
        fields = self._session.headers(self._token.get())
        bound = self._session.silence_seconds
        timeout = httpx.Timeout(CONNECT_SECONDS, read=bound)
        with client.stream("GET", self._session.url, headers=fields, timeout=timeout) as response:
            if response.status_code != 200:
                response.read()
            self._begin(response)
            for piece in response.iter_bytes():
                yield piece
                self._check_token()
                # httpx cannot change the timeout of a request that has begun.
                if self._session.silence_seconds < bound and self._session.last_event_id:
                    raise _Again(0.0)

    async def _apieces(self, client: httpx.AsyncClient) -> AsyncGenerator[bytes, None]:
        fields = self._session.headers(await self._token.aget())
        timeout = httpx.Timeout(CONNECT_SECONDS, read=None)
        request = client.build_request("GET", self._session.url, headers=fields, timeout=timeout)
        async with asyncio.timeout(self._session.silence_seconds):
            response = await client.send(request, stream=True)
            if response.status_code != 200:
                await response.aread()
        async with aclosing(response):
            self._begin(response)
            body = response.aiter_bytes()
            while piece := await self._next(body):
                yield piece
                self._check_token()

    async def _next(self, body: AsyncIterator[bytes]) -> bytes:
        async with asyncio.timeout(self._session.silence_seconds):
            return await anext(body, b"")

    def _begin(self, response: httpx.Response) -> None:
        """Raises _Again or StreamRefused for an answer that is no stream."""
        status = response.status_code
        if status == 401 and self._token.rejected():
            raise _Again(0.0)
        if status != 200:
            raise _Again(self._session.refused(status, response.headers, response.content))
        self._token.accepted()
        self._session.begin(response.headers.get("content-type", ""))

    def _check_token(self) -> None:
        """Raises _Again when the token is to be replaced."""
        if self._token.renew_if_due(self._session.heartbeat_seconds):
            raise _Again(0.0)


class _Again(Exception):
    """The request is over, and the next one comes after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
