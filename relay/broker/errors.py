"""What can go wrong with Redis.

RedisUnavailable   a command got no answer, or a refusal
SubscriptionRefused   Redis denied the subscription itself (a ConnectionError)
"""


class RedisUnavailable(Exception):
    """`refused`: Redis answered, and said no. Otherwise it did not answer, or not in time."""

    def __init__(self, message: str, *, refused: bool) -> None:
        super().__init__(message)
        self.refused = refused


class SubscriptionRefused(ConnectionError):
    """Redis answered, and said no: a wrong password, a missing right, a wrong command."""
