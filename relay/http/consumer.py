"""`/stream/`: the ASGI side of one stream.

Where this diverges from channels' AsyncHttpConsumer, and why:

* `__call__` reads the connection itself. The base class awaits the whole response inside `dispatch`,
  so a stream would never see its client leave, and each message costs it a thread hop and two tasks.
* There is no channel layer: it would cost every stream a task and a Redis round trip.
* No exception leaves: Daphne's bookkeeping does not survive one after the response has started.
* Where the server hands the connection over, the consumer is gone as soon as the stream is open.
"""

import asyncio
import logging
from functools import partial
from typing import Any

from channels.generic.http import AsyncHttpConsumer
from django.utils.translation import gettext

from relay.access.log_fields import request_fields
from relay.access.problem import Problem
from relay.engine.hub import Hub
from relay.engine.lifespan import get_hub
from relay.engine.stream import Full, Stream, logs_streams
from relay.feed.writer import Chunk
from relay.http.admission import Admitted, admit
from relay.http.answer import STREAM_HEADERS, Answer, TurnedAway
from relay.http.asgi_writer import AsgiWriter
from relay.http.stream_head import stream_head
from relay.sockets.detached import EXTENSION, Detached
from relay.sockets.poller import AVAILABLE
from relay.sockets.writer import SocketWriter
from relay.types import Receive, Scope, Send

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
            logger.exception("A stream failed; this is a bug.", extra=request_fields(self.scope))

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
                await _take_room(hub, admitted)
            return admitted
        except Problem as problem:
            return Answer.refusal(problem)
        except TurnedAway as turned_away:
            hub.stats.streams_refused += 1
            hub.stats.refused[turned_away.refusal] += 1
            return turned_away.answer(hub.refusal_retry(), hub.settings.overload_retry_ms)

    async def _stream(self, hub: Hub, admitted: Admitted, asked_at: float) -> None:
        try:
            detached = _take_connection(self.scope, self.base_send)
            if detached is not None:
                stream = _open_on_socket(hub, detached, admitted, asked_at)
            else:
                await self.send_headers(headers=[*STREAM_HEADERS, *admitted.headers])
                await self.send_body(hub.opening(), more_body=True)
                writer = AsgiWriter(self.base_send)
                stream = hub.join(writer, admitted.admission, asked_at)
        except BaseException:
            hub.streams.give_back(admitted.admission.owner)
            raise
        if detached is not None:
            _note_opened(stream, self.scope)
            return
        try:
            _note_opened(stream, self.scope)
            await writer.run(self._client_gone())
        finally:
            hub.leave(stream)

    async def _client_gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


def _take_connection(scope: Scope, send: Send) -> Detached | None:
    detach = (scope.get("extensions") or {}).get(EXTENSION)
    return detach(send) if detach is not None and AVAILABLE else None


def _open_on_socket(hub: Hub, detached: Detached, admitted: Admitted, asked_at: float) -> Stream:
    """Opens the stream on a connection of its own. It lives on without a task."""
    chunked = detached.http_version == b"1.1"
    first = Chunk(hub.opening())
    head = stream_head(detached.http_version, admitted.headers)
    head += first.framed if chunked else first.body
    writer = SocketWriter(hub.poller, detached.socket, head, chunked=chunked)
    try:
        stream = hub.join(writer, admitted.admission, asked_at)
    except Exception:
        writer.abort()  # so that its client comes back
        raise
    writer.on_gone(partial(hub.leave, stream))
    writer.send_head()
    return stream


def _note_opened(stream: Stream, scope: Scope) -> None:
    if logs_streams():
        fields = stream.log_fields() | request_fields(scope)
        logger.debug("Stream %s opened.", fields["stream"], extra=fields)


async def _take_room(hub: Hub, admitted: Admitted) -> None:
    """Takes the seat of the stream.

    Raises TurnedAway when the process has all the streams or channels it may have, or stops, or when the
    client has all the streams that it may have.
    """
    owner = admitted.admission.owner
    try:
        if not admitted.admission.is_operators:
            hub.streams.check_room()
        await hub.streams.take_seat(owner)
        try:
            hub.check_room(admitted.admission)  # what may have changed meanwhile, too
        except Full:
            hub.streams.give_back(owner)
            raise
    except Full as full:
        raise TurnedAway(
            gettext(str(full)),
            admitted.headers,
            names_event_streams=admitted.names_event_streams,
            as_event=admitted.errors_as_events,
            refusal=full.reason,
        ) from None
