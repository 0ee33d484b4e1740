"""One subscribed connection to Redis, and the channels that it delivers."""

import asyncio
import secrets
from collections.abc import Collection, Iterable, Sequence
from itertools import count

from relay.broker.errors import SubscriptionRefused
from relay.broker.keys import HubKeys
from relay.broker.link import MasterLink
from relay.broker.master import Master
from relay.broker.names import Names
from relay.broker.subscription import ENDED, Subscription
from relay.source.entered import Channel, Entered
from relay.source.vitals import PROBE_SECONDS

CHANGE_SECONDS = 1.0
"""How long the other nodes may take to learn that a slot has another owner."""

_numbers = count()
"""Numbers the connections, so that an old one never takes over from a newer one."""


class Connection:
    """A subscribed connection. It routes each message to its channel, by the name that the message carries.

    Beside its channels it has a probe channel of its own, and the control channel of all hub
    processes. A message there calls the link, or is heard by it.
    """

    def __init__(self, master: Master, keys: HubKeys, link: MasterLink) -> None:
        self.master = master
        self.link = link
        self.probe_channel = keys.probe(secrets.token_hex(8))
        self.probed = asyncio.Event()
        """Set by every message on `probe_channel`."""
        self.probe_seconds = PROBE_SECONDS
        self.received = 0
        """The number of reads that held a message."""
        self._number = next(_numbers)
        self._control_channel = keys.control
        self._control = keys.control.encode()
        self._subscription: Subscription | None = None
        self._ended_at: float | None = None
        self._routes: dict[bytes, Entered] = {}
        self._entered: dict[Channel, Entered] = {}

    # -- the connection itself

    async def connect(self) -> None:
        """Raises OSError when Redis cannot be reached, SubscriptionRefused when it refuses."""
        self._subscription = await self.master.connect(self.receive)
        try:
            await self._subscription.subscribe(Names([self.probe_channel]))
        except BaseException:
            self._subscription.abort("the attempt was given up")
            raise

    @property
    def subscription(self) -> Subscription:
        assert self._subscription is not None, "it was never connected"
        return self._subscription

    @property
    def open(self) -> bool:
        return self._subscription is not None and not self._subscription.closed.done()

    async def subscribe(self, channels: Iterable[Channel]) -> list[Entered]:
        """Subscribes to those channels that are not entered yet. Returns them when Redis has confirmed.

        Raises SubscriptionRefused when Redis denies one of them, OSError when the connection ends.
        """
        entered = [self._enter(channel) for channel in channels if not self.has(channel)]
        if entered:
            await self.subscription.subscribe(self._names(e.channel for e in entered))
        return entered

    async def subscribe_to_control(self) -> None:
        """Subscribes, then calls the link for kicks that were noted before. Raises like `subscribe`."""
        try:
            await self.subscription.subscribe(Names([self._control_channel]))
        except SubscriptionRefused as error:
            raise SubscriptionRefused(f"{self._control_channel}: {error}") from None
        self.link.whole.call()

    def abort(self, reason: str) -> None:
        for entered in self._entered.values():
            entered.drop()
        if self._subscription:
            self._subscription.abort(reason)

    # -- its channels

    @property
    def channels(self) -> Collection[Channel]:
        """The channels that are entered, or about to be."""
        return self._entered.keys()

    def entered(self, channels: Iterable[Channel]) -> list[Entered]:
        """Returns the entered ones among `channels`, or about to be."""
        return [e for channel in channels if (e := self._entered.get(channel))]

    def has(self, channel: Channel) -> bool:
        """Whether this connection has received a marker of the channel."""
        entered = self._entered.get(channel)
        return entered is not None and entered.marked

    def counts(self, channel: Channel) -> bool:
        """Whether the messages of this connection count for the channel."""
        entered = self._entered.get(channel)
        return self.open and entered is not None and entered.marked and entered.counts

    def is_over(self, channel: Channel) -> bool:
        """Whether the channel must be entered again: its server has ended it, or it was displaced."""
        entered = self._entered.get(channel)
        if entered is None:
            return False
        return entered.displaced or (entered.session.ended and not self.changes)

    @property
    def changes(self) -> bool:
        """Whether the server has ended the delivery of a channel just now, so that another one has it."""
        at = self._ended_at
        return at is not None and asyncio.get_running_loop().time() - at < CHANGE_SECONDS

    def remove(self, channel: Channel) -> None:
        """Stops delivery of the channel."""
        names = channel.names(self.master.node)
        entered = self._entered.pop(channel, None)
        if entered:
            entered.session.marked.set()  # ends the wait for a marker
            entered.drop()
            for name in names:
                self._routes.pop(name.encode(), None)
        if self._subscription and not (entered and entered.session.ended):
            self._subscription.unsubscribe(names)

    def _enter(self, channel: Channel) -> Entered:
        entered = self._entered[channel] = Entered(channel, self.link, self._number)
        for name in channel.names(self.master.node):
            self._routes[name.encode()] = entered
        return entered

    def _names(self, channels: Iterable[Channel]) -> Names:
        return Names.joined([channel.names(self.master.node) for channel in channels])

    # -- messages

    def receive(self, messages: Sequence[Sequence[bytes]]) -> None:
        """Passes each run of messages of one channel to its intake."""
        self.received += 1
        routes = self._routes
        run: list[Sequence[bytes]] = []
        current: Entered | None = None
        for message in messages:
            entered = routes.get(message[1])
            if entered is not current and current is not None:
                current.intake.take(current.session, run)
                run = []
            current = entered
            if entered is not None:
                if message[0] == ENDED:
                    self._note_end(entered)
                else:
                    run.append(message)
            elif message[1] == self._control:
                self._control_message(message)
            elif message[0] != ENDED:
                self.probed.set()
        if current is not None:
            current.intake.take(current.session, run)

    def _control_message(self, message: Sequence[bytes]) -> None:
        """An empty message is a call to look for kicks."""
        if message[0] == ENDED:
            return
        if message[-1]:
            self.link.whole.hear(message[-1])
        else:
            self.link.whole.call()

    def _note_end(self, entered: Entered) -> None:
        """The slot of the channel has another owner now, or this server has another master."""
        self._ended_at = asyncio.get_running_loop().time()
        entered.session.end()
        self.link.whole.doubt()
