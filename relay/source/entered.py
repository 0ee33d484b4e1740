"""A channel on a connection to Redis."""

from typing import Protocol

from relay.broker.link import MasterLink
from relay.broker.names import Names
from relay.feed.feed import Feed
from relay.history.history import History
from relay.source.epochs import Epochs, Opened
from relay.source.intake import Intake
from relay.source.session import Session


class Channel(Protocol):
    """What a listener needs of a channel."""

    label: str
    """The channel's entry of the catalogue, which a refusal names."""
    feed: Feed
    intake: Intake
    epochs: Epochs
    history: History | None

    @property
    def key(self) -> str:
        """The key that decides which server is the channel's master."""

    def names(self, node: str) -> Names:
        """Returns what to subscribe to at a master; `node` is its id in a cluster, else empty."""

    def on_live(self, opened: Opened | None) -> None:
        """Called when the channel is live. `opened` is the epoch that this process opened, if it has."""


class Entered:
    """One channel on one connection."""

    __slots__ = ("_opened", "channel", "intake", "session")

    def __init__(self, channel: Channel, link: MasterLink, connection: int) -> None:
        self.channel = channel
        self.intake = channel.intake
        self.session = Session(link, connection)
        self._opened: Opened | None = None

    @property
    def marked(self) -> bool:
        """Whether it has received a marker."""
        return self.session.marked.is_set()

    @property
    def held(self) -> bool:
        """Whether its messages wait until the hole before them is filled or given up."""
        return self.intake.is_held(self.session)

    @property
    def counts(self) -> bool:
        """Whether its messages count, or will when it has caught up with the feed."""
        return self.intake.counts(self.session)

    @property
    def displaced(self) -> bool:
        """Whether another session has taken its place."""
        return self.marked and not self.held and not self.counts

    @property
    def before(self) -> Session | None:
        """The session of another master that counts until this one does."""
        return self.intake.before(self.session)

    @property
    def alone(self) -> bool:
        """Whether no other hub process received its marker."""
        return self._opened is not None and self._opened.alone

    def note_opened(self, opened: Opened) -> None:
        """Records what is known of the epoch that this process opened for it."""
        self._opened = opened

    def drop(self) -> None:
        """Ignores everything that it delivers from now on."""
        self.intake.drop(self.session)

    def go_live(self) -> None:
        self.channel.on_live(self._opened)
