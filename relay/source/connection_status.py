"""Whether a connection to a master stands, for its link, the statistics and the log."""

import asyncio

from relay.broker.errors import SubscriptionRefused
from relay.broker.link import MasterLink
from relay.broker.outage import Outage
from relay.source.refusals import Refusals
from relay.stats import Stats


class ConnectionStatus:
    """Logs one warning when the connection is lost and one line when it is back.

    A refusal (wrong password, missing right) is an error of its own. `outage` takes the name of the
    master, and the reason or the seconds.
    """

    def __init__(self, name: str, link: MasterLink, stats: Stats, outage: Outage) -> None:
        self.refusals = Refusals(name)
        self._name = name
        self._link = link
        self._stats = stats
        self._outage = outage
        self._lost_at: float | None = None

    @property
    def is_lost(self) -> bool:
        """Whether it was lost, or never made, and is not back yet."""
        return self._lost_at is not None

    def restored(self) -> bool:
        """Records that it delivers. Returns whether it was lost."""
        lost_at, self._lost_at = self._lost_at, None
        self.refusals.forget()
        if lost_at is not None:
            away = asyncio.get_running_loop().time() - lost_at
            self._outage.end(self, self._name, away)
        self._link.restored()
        return lost_at is not None

    def lost(self, error: Exception) -> bool:
        """Records why it does not deliver. Returns whether that is new."""
        if isinstance(error, SubscriptionRefused):
            self.refusals.report(error)
        if self.is_lost:
            return False
        self._lost_at = asyncio.get_running_loop().time()
        self._stats.redis_losses += 1
        self._outage.begin(self, self._name, str(error) or "no answer")
        self._link.lost()
        return True
