"""A connection to Redis that speaks the protocol itself: what subscribed and tracking connections share."""

import asyncio
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, cast

import hiredis

from relay.broker.errors import SubscriptionRefused

READ_BYTES = 64 * 1024
"""The most that is taken from the socket in one turn of the event loop."""


class Awaited:
    """A command that waits for its answer; of a subscription, the names not yet confirmed."""

    __slots__ = ("command", "done", "names")

    def __init__(self, command: str, names: Iterable[str] = ()) -> None:
        self.command = command
        self.names = {name.encode() for name in names}
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def succeed(self, answer: Any = None) -> None:
        if not self.done.done():
            self.done.set_result(answer)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # marks it as retrieved: nobody has to await it


class Dialogue(asyncio.BufferedProtocol):
    """Authenticates, sends commands, and reads what Redis says.

    `closed` resolves, never fails, with the reason the connection ended. An error of the socket,
    ETIMEDOUT included, arrives once as `connection_lost`: nothing here polls, so nothing can spin.
    """

    def __init__(self, auth: Sequence[str]) -> None:
        self._auth = auth
        self._reader = hiredis.Reader()
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)
        self._transport: asyncio.Transport | None = None
        self._awaited: deque[Awaited] = deque()
        self._error: Exception | None = None
        self.server: object = None
        """The address at which the connection ends, as the system gives it; None before it stands."""
        self.heard = False
        """Whether anything was read since the last `ping`, or reading was resumed since."""
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    # -- asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.server = transport.get_extra_info("peername")
        if self._auth:
            self._command(*self._auth)
        self._command("CLIENT", "SETNAME", "relay-hub")

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view  # TLS takes slices of it, and a slice of a bytearray is a copy

    def buffer_updated(self, nbytes: int) -> None:
        self.heard = True
        try:
            self._reader.feed(self._view[:nbytes])  # type: ignore[arg-type]  # any buffer will do
            self._read()
        except hiredis.ProtocolError as error:
            self._fail(SubscriptionRefused(f"this is not Redis: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        reason = self._error or exc or ConnectionError("Redis closed the connection")
        for awaited in self._awaited:
            awaited.fail(reason)
        if not self.closed.done():
            self.closed.set_result(str(reason))

    @abstractmethod
    def _read(self) -> None:
        """Takes every answer that is complete."""

    # -- for its owner

    async def node_id(self) -> str:
        """Returns the id of this node of the cluster. For before the first subscription.

        Raises SubscriptionRefused when Redis says no, OSError when the connection ends.
        """
        return bytes(await self._ask("CLUSTER", "MYID")).decode()

    @abstractmethod
    def ping(self) -> None:
        """Makes Redis say something, through the very path the messages take."""

    def pause(self) -> None:
        """Stops reading until `resume`; the socket and Redis buffer what is sent meanwhile."""
        if self._transport and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        self.heard = True
        if self._transport and not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self, reason: str) -> None:
        """Ends the connection at once, for `reason`."""
        self._fail(ConnectionError(reason))

    # -- commands

    async def _ask(self, *words: str) -> Any:
        self._require_open()
        return await self._command(*words).done

    def _require_open(self) -> None:
        if self._transport is None or self.closed.done():
            raise ConnectionError("the connection has ended")

    def _command(self, command: str, *words: str, names: Iterable[str] = ()) -> Awaited:
        assert self._transport is not None
        awaited = Awaited(command, names)
        self._awaited.append(awaited)
        self._write(command, *words)
        return awaited

    def _write(self, *words: str) -> None:
        """Sends a command, unless the connection is closing: Python 3.12 raises TypeError then."""
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(hiredis.pack_command(words))  # type: ignore[arg-type]

    def _refused(self, awaited: Awaited, reply: hiredis.ReplyError) -> None:
        error = SubscriptionRefused(f"Redis refused {awaited.command}: {reply}")
        if awaited.command == "AUTH":
            self._awaited.appendleft(awaited)
            self._fail(error)
        else:
            awaited.fail(error)

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        if self._transport:
            self._transport.abort()
