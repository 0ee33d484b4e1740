"""One subscribed connection, and what it brings of each channel."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from relay.broker.subscription import Names, Subscription
from relay.feed.feed import Feed
from relay.history.history import History
from relay.source.epochs import Epochs
from relay.source.intake import Intake, Session


class Channel(Protocol):
    """What a listener needs of a channel."""

    names: Names
    label: str
    """The entry of the catalogue, by which a refusal names the channel."""
    feed: Feed
    intake: Intake
    epochs: Epochs
    history: History | None

    def on_live(self, alone: bool) -> None:
        """The subscription stands; `alone`: no other process has this channel."""


@dataclass(slots=True)
class Entered:
    """What one connection brings of one channel."""

    channel: Channel
    session: Session
    alone: bool = False
    """No other hub process heard its marker."""


@dataclass(slots=True)
class Connection:
    """A subscribed connection, and the channels it has entered, by the names that messages carry."""

    probe_channel: str
    subscription: Subscription | None = None
    routes: dict[bytes, Entered] = field(default_factory=dict)
    entered: dict[Channel, Entered] = field(default_factory=dict)
    probed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with every message on `probe_channel`."""
    received: int = 0

    @property
    def open(self) -> bool:
        return self.subscription is not None and not self.subscription.closed.done()

    def has(self, channel: Channel) -> bool:
        """Whether the channel has heard a marker here."""
        entered = self.entered.get(channel)
        return entered is not None and entered.session.marked.is_set()

    def add(self, channel: Channel) -> Entered:
        entered = self.entered[channel] = Entered(channel, Session())
        for name in (*channel.names.channels, *channel.names.patterns):
            self.routes[name.encode()] = entered
        return entered

    def remove(self, channel: Channel) -> None:
        entered = self.entered.pop(channel, None)
        if entered:
            entered.session.marked.set()  # nobody needs to wait for it any more
            channel.intake.drop(entered.session)
            for name in (*channel.names.channels, *channel.names.patterns):
                self.routes.pop(name.encode(), None)

    def receive(self, messages: Sequence[Sequence[bytes]]) -> None:
        """Hands each run of messages of one channel to its intake."""
        self.received += 1
        run: list[Sequence[bytes]] = []
        of: Entered | None = None
        for message in messages:
            entered = self.routes.get(message[1])
            if entered is not of and of is not None:
                of.channel.intake.take(of.session, run)
                run = []
            of = entered
            if entered is not None:
                run.append(message)
            else:
                self.probed.set()
        if of is not None:
            of.channel.intake.take(of.session, run)

    def abort(self, reason: str) -> None:
        for entered in self.entered.values():
            entered.channel.intake.drop(entered.session)
        if self.subscription:
            self.subscription.abort(reason)
