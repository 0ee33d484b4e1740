"""Tells the operator what Redis denies, each refusal once."""

import logging

from relay.broker.errors import SubscriptionRefused

logger = logging.getLogger("relay")


class Refusals:
    """Refusals are errors, and not outages: only a person can mend them. `name` is that of Redis."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._reported: set[str] = set()

    def report(self, error: SubscriptionRefused) -> None:
        """Logs the refusal, unless it was logged already."""
        if str(error) not in self._reported:
            self._reported.add(str(error))
            logger.error(
                "Redis %s: %s. Check REDIS_URL and the ACL rights of its user"
                " (docs/operations.md); trying again until it works.",
                self._name,
                error,
            )

    def forget(self) -> None:
        """A new connection stands: what it is denied is logged again."""
        self._reported.clear()
