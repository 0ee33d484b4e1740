"""Reports to the operator what Redis denies, each refusal once."""

import logging

from relay.broker.errors import RedisUnavailable, SubscriptionRefused

logger = logging.getLogger("relay")


class Refusals:
    """Refusals are errors, not outages: only an operator can fix them. `name` is that of Redis."""

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

    def report_key(self, channel: str, label: str, kind: str) -> None:
        """Logs that the key of a stream channel is no stream, unless it was logged already."""
        if channel not in self._reported:
            self._reported.add(channel)
            logger.error(
                "Redis %s: the channel %s cannot be read: the key has the type %s, not stream (%s"
                " in RELAY_CHANNELS). Trying again until it is one.",
                self._name,
                channel,
                kind,
                label,
            )

    def report_probe(self, error: RedisUnavailable) -> None:
        """Logs a probe that Redis refused, unless it was logged already."""
        if str(error) not in self._reported:
            self._reported.add(str(error))
            logger.warning(
                "Redis %s: %s. The hub does not notice a master that is replaced. Give the user of"
                " REDIS_URL the right +publish (docs/operations.md).",
                self._name,
                error,
            )

    def forget(self) -> None:
        """Forgets the reported refusals, so that a new connection's are logged again."""
        self._reported.clear()
