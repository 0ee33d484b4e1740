"""What can go wrong with Redis.

ConnectionError (Python's own)
└── RedisError               Redis cannot, or will not; `relay.RedisError` is this class
    ├── RedisUnavailable     a command got no answer, or a refusal
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


class SubscriptionRefused(RedisError):
    """Redis answered and said no: a wrong password, a missing right, a wrong command."""

    refused = True
