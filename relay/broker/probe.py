"""A message that the hub sends to itself, over a connection that lives for that message alone.

redis-py would build a client, a pool and a connection each second, which was half of an idle hub's CPU.
"""

import asyncio
from typing import cast

import hiredis

from relay.broker.errors import RedisUnavailable


class Probe(asyncio.Protocol):
    """Signs in, publishes, and closes the connection. `done` resolves when Redis has confirmed."""

    def __init__(self, auth: tuple[str, ...], channel: str) -> None:
        self._commands = [auth] if auth else []
        self._commands.append(("PUBLISH", channel, ""))
        self._answers = len(self._commands)
        self._reader = hiredis.Reader()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Fails with an OSError: RedisUnavailable with `refused` where Redis said no."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        packed = [hiredis.pack_command(words) for words in self._commands]  # type: ignore[arg-type]
        self._transport.write(b"".join(packed))

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self._answer(reply)
        except hiredis.ProtocolError as error:
            self._end(RedisUnavailable(f"this is not Redis: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc if isinstance(exc, OSError) else ConnectionError("the connection ended"))

    def abort(self) -> None:
        """Ends the connection at once."""
        self._transport.abort()

    def _answer(self, reply: object) -> None:
        self._answers -= 1
        if isinstance(reply, hiredis.ReplyError):
            self._end(RedisUnavailable(f"Redis refused the probe: {reply}", refused=True))
        elif not self._answers:
            self._end(None)

    def _end(self, error: OSError | None) -> None:
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)
                self.done.exception()  # marks it as retrieved: the caller may have given up
        self._transport.close()
