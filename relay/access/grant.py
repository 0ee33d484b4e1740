"""What a site's own hook returns: what the sender of a request may do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from django.http import HttpRequest

from relay.conf.catalogue import Target


@dataclass(frozen=True, slots=True)
class Grant:
    """`subject` is the name by which rates and idempotency keys are kept.

    With `sees_users` presence shows the ids of users, and not only how many streams there are.
    """

    subject: str = ""
    sees_users: bool = False


Authorize = Callable[[HttpRequest, Target], Awaitable[Grant]]
"""Returns what the sender of the request may do on the channel. Raises Problem to refuse it."""
