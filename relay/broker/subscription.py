"""One subscribed connection to Redis: bytes in, every message of one read handed over together.

redis-py reads pub/sub one message at a time, at about fifteen times the cost, and reconnects without
a word; a hub that counts can use neither. So this speaks the protocol itself (RESP2, SUBSCRIBE, PING
in subscribed mode). hiredis parses; redis-py reads the address and sets up TLS.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import hiredis

from relay.broker.dialogue import Awaited, Dialogue
from relay.broker.errors import SlotElsewhere, SubscriptionRefused
from relay.broker.hello import Hello
from relay.broker.names import Names

Receive = Callable[[Sequence[Sequence[bytes]]], None]
"""Takes the messages of one read, each as [b"message", channel, payload], or, of a pattern, as
[b"pmessage", pattern, channel, payload], or, of a sharded channel, as [b"smessage", channel, payload].
[b"sunsubscribe", channel, number] says that the server has ended the delivery of a sharded channel."""

ENDED = b"sunsubscribe"
MESSAGES = frozenset({b"message", b"pmessage", b"smessage", ENDED})
ELSEWHERE = ("MOVED ", "ASK ", "TRYAGAIN ", "CLUSTERDOWN ")
"""How errors begin of a node that has not, or not any more, the slot of a sharded channel."""

CONFIRMATIONS = frozenset({b"subscribe", b"psubscribe", b"ssubscribe"})


class Subscription(Dialogue):
    """Authenticates, subscribes, and then only listens."""

    def __init__(self, auth: Sequence[str], receive: Receive) -> None:
        super().__init__(auth)
        self._receive = receive
        self._leaving: Counter[bytes] = Counter()
        """How often each sharded channel was left of our own accord, without an answer yet."""

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

    async def subscribe(self, names: Names) -> None:
        """Returns when Redis has confirmed every name.

        Raises SubscriptionRefused when Redis says no, OSError when the connection ends.
        """
        self._require_open()
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
        self.heard = False
        if self._transport is not None:
            self._write("PING", "relay-hub")

    # -- RESP

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

    def _refused(self, awaited: Awaited, reply: hiredis.ReplyError) -> None:
        if str(reply).startswith(ELSEWHERE):
            awaited.fail(SlotElsewhere(f"{awaited.command}: {reply}"))
        else:
            super()._refused(awaited, reply)

    def _confirm(self, name: bytes) -> None:
        for awaited in self._awaited:
            if name in awaited.names:
                awaited.names.remove(name)
                if not awaited.names:
                    self._awaited.remove(awaited)
                    awaited.succeed()
                return
