"""One connection's share of a channel."""

from relay.broker.link import Live
from relay.flag import Flag
from relay.wire.position import Position


class Session:
    """One connection's share of a channel.

    `link` is that of its listener, `connection` the number of the connection, which grows.
    """

    __slots__ = (
        "connection",
        "ended",
        "epoch",
        "held",
        "held_bytes",
        "link",
        "marked",
        "overlapping",
        "position",
    )

    def __init__(self, link: Live, connection: int = 0) -> None:
        self.link = link
        self.connection = connection
        self.ended = False
        """Whether its server has ended the delivery of the channel."""
        self.epoch: int | None = None
        """The epoch of its first marker."""
        self.position: Position | None = None
        """The position it has reached since, while it does not count."""
        self.overlapping = False
        """Whether the previous connection had counted that marker already, so that there is no hole."""
        self.held: list[tuple[bytes, bytes] | int] = []
        """Messages (payload, source), and epochs of markers, that were received since and held back."""
        self.held_bytes = 0
        self.marked = Flag()
        """Set by the first marker."""

    def end(self) -> None:
        """Called when its server has ended the delivery of the channel."""
        self.ended = True

    def begin_above(self, newest: int) -> bool:
        """Begins at its first marker that is not below `newest`. Returns False if there is none.

        What was received before that marker is a part of the hole.
        """
        if self.epoch is not None and self.epoch >= newest:
            return True
        for place, item in enumerate(self.held):
            if isinstance(item, int) and item >= newest:
                self.epoch = item
                del self.held[: place + 1]
                return True
        return False

    def is_newer_than(self, other: "Session") -> bool:
        """Whether its listener has opened its connection after that of `other`."""
        return self.link is other.link and self.connection > other.connection

    @property
    def delivers(self) -> bool:
        """Whether messages reach it now, as far as this process can know."""
        return self.link.live and not self.ended
