"""`/stream/`: the ASGI side of one stream.

Where this diverges from channels' AsyncHttpConsumer, and why:

* `__call__` reads the connection itself. The base class awaits the whole response inside `dispatch`,
  so a stream would never see its client leave, and each message costs it a thread hop and two tasks.
* There is no channel layer: it would cost every stream a task and a Redis round trip.
* No exception leaves: Daphne's bookkeeping does not survive one after the response has started.
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from channels.generic.http import AsyncHttpConsumer
from django.utils.translation import gettext

from relay.access.problem import Problem
from relay.engine.hub import Hub
from relay.engine.lifespan import get_hub
from relay.engine.stream import Admission, Full
from relay.feed.writer import Writer
from relay.http.admission import Admitted, admit
from relay.http.answer import STREAM_HEADERS, Answer, TurnedAway
from relay.http.response_writer import open_writer
from relay.types import Receive, Send

logger = logging.getLogger("relay")


class StreamConsumer(AsyncHttpConsumer):
    """GET opens a stream. HEAD, OPTIONS and everything else get a complete, short answer."""

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self.scope, self.receive, self.base_send = scope, receive, send
        try:
            if await self._request_read():
                await self._respond(get_hub())
        except asyncio.CancelledError:
            pass  # the server stops, and no client is left
        except Exception:
            logger.exception("A stream failed; this is a bug.")

    async def _request_read(self) -> bool:
        """Reads the request to its end and drops any body. Returns False if the client left before."""
        while (message := await self.receive())["type"] == "http.request":
            if not message.get("more_body"):
                return True
        return False

    async def _respond(self, hub: Hub) -> None:
        asked_at = asyncio.get_running_loop().time()
        admitted = await self._admit(hub)
        if isinstance(admitted, Answer):
            await self.send_response(admitted.status, admitted.body, headers=admitted.headers)
        else:
            await self._stream(hub, admitted, asked_at)

    async def _admit(self, hub: Hub) -> Admitted | Answer:
        try:
            admitted = await admit(self.scope, hub.settings, hub.catalogue)
            if isinstance(admitted, Admitted):
                _require_room(hub, admitted)
            return admitted
        except Problem as problem:
            return Answer.refusal(problem)
        except TurnedAway as turned_away:
            hub.stats.streams_refused += 1
            return turned_away.answer(hub.refusal_retry(), hub.settings.overload_retry_ms)

    async def _stream(self, hub: Hub, admitted: Admitted, asked_at: float) -> None:
        await self.send_headers(headers=[*STREAM_HEADERS, *admitted.headers])
        await self.send_body(hub.retry(), more_body=True)
        writer = open_writer(self.base_send, hub.settings.client_buffer_bytes)
        with _joined(hub, writer, admitted.admission, asked_at):
            await writer.run(self._client_gone())

    async def _client_gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


def _require_room(hub: Hub, admitted: Admitted) -> None:
    """Raises TurnedAway when the process has all the streams or channels it may have, or stops."""
    try:
        hub.check_room(admitted.admission)
    except Full as full:
        raise TurnedAway(
            gettext(str(full)),
            admitted.headers,
            names_event_streams=admitted.names_event_streams,
            as_event=admitted.errors_as_events,
        ) from None


@contextmanager
def _joined(hub: Hub, writer: Writer, admission: Admission, asked_at: float) -> Iterator[None]:
    """Keeps the stream open for as long as the client stays and may see it."""
    stream = hub.join(writer, admission)
    if hub.kicks.reached(stream, asked_at):
        hub.end(stream)
    end: asyncio.TimerHandle | None = None
    if admission.ends_at is not None:
        left = max(admission.ends_at - time.time(), 0)
        end = asyncio.get_running_loop().call_later(left, hub.end, stream)
    try:
        yield
    finally:
        if end:
            end.cancel()
        hub.leave(stream)
