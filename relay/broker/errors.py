"""What can go wrong with Redis.

ConnectionError (Python's own)
└── RedisError               Redis cannot, or will not; `relay.RedisError` is this class
    ├── RedisUnavailable     a command got no answer, or a refusal
    │   ├── Redirected       another node of the cluster has the key; nothing was done
    │   ├── SlotElsewhere    another node has the slot of a sharded channel
    │   ├── SlotUnsettled    the slot of the key is on its way, or has no owner; nothing was done
    │   └── NotMaster        the server takes no writes, because it is a replica
    └── SubscriptionRefused  Redis denied a subscription
"""


class RedisError(ConnectionError):
    """Raised by `relay.publish` and `relay.kick`, and by their asynchronous forms.

    `refused`: Redis answered and said no. Otherwise no answer came, or none in time.
    """

    refused = False


class RedisUnavailable(RedisError):
    """A command failed."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class Redirected(RedisUnavailable):
    """Another node of the cluster has the key.

    `asking`: only for this once, because the slot is on its way there (ASK, not MOVED).
    """

    def __init__(self, host: str, port: int, *, asking: bool) -> None:
        super().__init__(f"{host}:{port} has the key")
        self.host, self.port, self.asking = host, port, asking


class SlotUnsettled(RedisUnavailable):
    """The slot of the key is on its way between two nodes, or has no owner at this time."""


class SlotElsewhere(RedisUnavailable):
    """Another node has the slot of a sharded channel, or will have it soon."""


class NotMaster(RedisUnavailable):
    """The server is a replica. Only its master hands out the order of messages."""


class SubscriptionRefused(RedisError):
    """Redis answered and said no: a wrong password, a missing right, a wrong command."""

    refused = True
