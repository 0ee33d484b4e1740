"""One subscribed connection to Redis: bytes in, every message of one read handed over together.

redis-py reads pub/sub one message at a time, at about fifteen times the cost, and reconnects without
a word; a hub that counts can use neither. So this speaks the protocol itself (RESP2, SUBSCRIBE, PING
in subscribed mode). hiredis parses; redis-py reads the address and sets up TLS.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import hiredis

from relay.broker.errors import SlotElsewhere, SubscriptionRefused
from relay.broker.hello import Hello
from relay.broker.names import Names

READ_BYTES = 64 * 1024
"""The most that is taken from the socket in one turn of the event loop."""


Receive = Callable[[Sequence[Sequence[bytes]]], None]
"""Takes the messages of one read, each as [b"message", channel, payload], or, of a pattern, as
[b"pmessage", pattern, channel, payload], or, of a sharded channel, as [b"smessage", channel, payload].
[b"sunsubscribe", channel, number] says that the server has ended the delivery of a sharded channel."""

ENDED = b"sunsubscribe"
MESSAGES = frozenset({b"message", b"pmessage", b"smessage", ENDED})
ELSEWHERE = ("MOVED ", "ASK ", "TRYAGAIN ", "CLUSTERDOWN ")
"""How errors begin of a node that has not, or not any more, the slot of a sharded channel."""

CONFIRMATIONS = frozenset({b"subscribe", b"psubscribe", b"ssubscribe"})


class _Awaited:
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


class Subscription(asyncio.BufferedProtocol):
    """Authenticates, subscribes, and then only listens.

    `closed` resolves, never fails, with the reason the connection ended. An error of the socket,
    ETIMEDOUT included, arrives once as `connection_lost`: nothing here polls, so nothing can spin.
    """

    def __init__(self, auth: Sequence[str], receive: Receive) -> None:
        self._auth = auth
        self._receive = receive
        self._reader = hiredis.Reader()
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)
        self._transport: asyncio.Transport | None = None
        self._awaited: deque[_Awaited] = deque()
        self._error: Exception | None = None
        self.server: object = None
        """The address at which the connection ends, as the system gives it; None before it stands."""
        self._leaving: Counter[bytes] = Counter()
        """How often each sharded channel was left of our own accord, without an answer yet."""
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

    # -- for the listener

    async def hello(self) -> Hello:
        """Returns what the server says of itself. For before the first subscription.

        HELLO needs no right. Raises OSError when the connection ends.
        """
        try:
            answer = await self._ask("HELLO")
        except SubscriptionRefused:
            if self._error is not None:
                raise  # the password was refused
            return Hello()  # a proxy, or a server that is too old, which `relay check` reports
        return Hello.of(answer)

    async def node_id(self) -> str:
        """Returns the id of this node of the cluster. For before the first subscription.

        Raises SubscriptionRefused when Redis says no, OSError when the connection ends.
        """
        return bytes(await self._ask("CLUSTER", "MYID")).decode()

    async def _ask(self, *words: str) -> Any:
        if self._transport is None or self.closed.done():
            raise ConnectionError("the connection has ended")
        return await self._command(*words).done

    async def subscribe(self, names: Names) -> None:
        """Returns when Redis has confirmed every name.

        Raises SubscriptionRefused when Redis says no, OSError when the connection ends.
        """
        if self._transport is None or self.closed.done():
            raise ConnectionError("the connection has ended")
        waiting = [
            self._command(f"{kind}SUBSCRIBE", *words, names=words)
            for kind, words in names.by_command()
        ]
        await asyncio.gather(*(awaited.done for awaited in waiting))

    def unsubscribe(self, names: Names) -> None:
        """Stops delivery of `names`. Messages already on the way may still arrive."""
        if self._transport is not None and not self.closed.done():
            self._leaving.update(name.encode() for name in names.shard_channels)
            for kind, words in names.by_command():
                self._write(f"{kind}UNSUBSCRIBE", *words)

    def ping(self) -> None:
        """Makes Redis say something, through the very path the messages take."""
        self.heard = False
        if self._transport is not None:
            self._write("PING", "relay-hub")

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

    # -- RESP

    def _command(self, command: str, *words: str, names: Iterable[str] = ()) -> _Awaited:
        assert self._transport is not None
        awaited = _Awaited(command, names)
        self._awaited.append(awaited)
        self._write(command, *words)
        return awaited

    def _write(self, *words: str) -> None:
        """Sends a command, unless the connection is closing: Python 3.12 raises TypeError then."""
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(hiredis.pack_command(words))  # type: ignore[arg-type]

    def _read(self) -> None:
        gets = self._reader.gets
        messages: list[Any] = []
        while (reply := gets()) is not False:
            if type(reply) is list and reply[0] in MESSAGES:
                if reply[0] != ENDED or not self._left(reply[1]):
                    messages.append(reply)
            else:
                self._answer(reply)
        if messages and self._error is None:
            self._receive(messages)

    def _left(self, name: bytes) -> bool:
        """Whether a channel has ended because we left it."""
        if not self._leaving[name]:
            return False
        self._leaving[name] -= 1
        return True

    def _answer(self, reply: object) -> None:
        if isinstance(reply, list) and reply[0] != b"server":
            if reply[0] in CONFIRMATIONS:
                self._confirm(reply[1])
            return  # otherwise an answer in subscribed mode: to a PING or an UNSUBSCRIBE
        awaited = self._awaited.popleft() if self._awaited else None
        if awaited is None:
            return
        if isinstance(reply, hiredis.ReplyError):
            self._refused(awaited, reply)
        else:
            awaited.succeed(reply)  # of a HELLO it is a list that begins with "server"

    def _refused(self, awaited: _Awaited, reply: hiredis.ReplyError) -> None:
        if str(reply).startswith(ELSEWHERE):
            awaited.fail(SlotElsewhere(f"{awaited.command}: {reply}"))
            return
        error = SubscriptionRefused(f"Redis refused {awaited.command}: {reply}")
        if awaited.command == "AUTH":
            self._awaited.appendleft(awaited)
            self._fail(error)
        else:
            awaited.fail(error)

    def _confirm(self, name: bytes) -> None:
        for awaited in self._awaited:
            if name in awaited.names:
                awaited.names.remove(name)
                if not awaited.names:
                    self._awaited.remove(awaited)
                    awaited.succeed()
                return

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        if self._transport:
            self._transport.abort()
