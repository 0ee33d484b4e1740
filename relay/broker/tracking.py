"""One connection on which Redis says which of the keys that were read have changed since.

That is the tracking of client-side caching (https://redis.io/docs/latest/commands/client-tracking). A
read registers its key; the next change of the key, whatever it is, sends one notice and ends the
registration. So a change costs Redis and this process the same whether they have ten keys or ten
thousand. A blocking XREAD looks at all of its keys again at each wake.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import hiredis

from relay.broker.commands import script_text
from relay.broker.dialogue import Dialogue
from relay.broker.hello import Hello

Word = str | bytes | int
Handler = Callable[[Any], None]
"""Takes the answer to a command, which may be a hiredis.ReplyError."""


class Observer(Protocol):
    """Whoever is told about the keys."""

    def changed(self, keys: Sequence[bytes] | None) -> None:
        """Called when these keys have changed since they were read; None for all keys."""

    def notified(self, channel: bytes) -> None:
        """Called for a message on a subscribed channel."""


class Tracking(Dialogue):
    """Sends reads in order and passes each answer to its handler.

    An answer and the notices around it arrive in the order in which Redis has executed things. So a
    notice that precedes the answer to a read is about something that the read has seen.
    """

    def __init__(self, auth: Sequence[str], observer: Observer, database: int = 0) -> None:
        super().__init__(auth)
        self._observer = observer
        self._database = database
        self._handlers: deque[Handler | None] = deque()
        """What takes each answer; None for a command of `_awaited`."""
        self._outgoing: list[bytes] = []
        self._reading = False
        """Whether answers are being taken, after which everything is sent."""

    async def begin(self) -> Hello:
        """Switches to RESP3 and begins tracking. Returns what the server says of itself.

        Raises SubscriptionRefused when Redis says no, OSError when the connection ends.
        """
        hello = Hello.of(await self._ask("HELLO", "3"))
        if self._database:
            await self._ask("SELECT", str(self._database))
        await self._ask("CLIENT", "TRACKING", "ON")
        return hello

    async def subscribe(self, channel: str) -> None:
        """Subscribes to a channel, beside the keys. Raises like `begin`."""
        await self._ask("SUBSCRIBE", channel)

    def ping(self) -> None:
        self.heard = False
        self.send(("PING",), _ignore)

    def send(self, words: Sequence[Word], handler: Handler) -> None:
        """Sends a command with the others of this turn of the event loop."""
        if not self._outgoing and not self._reading:
            asyncio.get_running_loop().call_soon(self._flush)
        self._handlers.append(handler)
        self._outgoing.append(hiredis.pack_command(tuple(words)))  # type: ignore[arg-type]

    def send_script(self, name: str, key: str, arguments: Sequence[Word], handler: Handler) -> None:
        """Runs a script by its digest, and sends the whole only where Redis does not know it."""
        text, digest = script_text(name)

        def take(answer: Any) -> None:
            if isinstance(answer, hiredis.ReplyError) and str(answer).startswith("NOSCRIPT"):
                self.send(("EVAL", text, 1, key, *arguments), handler)
            else:
                handler(answer)

        self.send(("EVALSHA", digest, 1, key, *arguments), take)

    # -- RESP

    def _command(self, command: str, *words: str, names: Any = ()) -> Any:
        self._handlers.append(None)
        return super()._command(command, *words, names=names)

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if outgoing and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(outgoing))

    def _read(self) -> None:
        gets = self._reader.gets
        self._reading = True
        try:
            while self._error is None and (reply := gets()) is not False:
                if type(reply) is hiredis.PushNotification:
                    self._notice(reply)
                else:
                    self._answer(reply)
        finally:
            self._reading = False
            self._flush()

    def _notice(self, push: Sequence[Any]) -> None:
        if push[0] == b"invalidate":
            self._observer.changed(push[1])
        elif push[0] == b"message":
            self._observer.notified(push[1])
        elif push[0] == b"subscribe":
            self._answer(push)

    def _answer(self, reply: Any) -> None:
        if not self._handlers:
            return
        handler = self._handlers.popleft()
        if handler is not None:
            handler(reply)
            return
        awaited = self._awaited.popleft()
        if isinstance(reply, hiredis.ReplyError):
            self._refused(awaited, reply)
        else:
            awaited.succeed(reply)


def _ignore(answer: Any) -> None:
    """Of a PING nothing matters but that there is one."""
