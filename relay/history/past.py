"""What replay needs of the history of one channel."""

from dataclasses import dataclass

from relay.history.history import History
from relay.history.journal import Journal
from relay.history.page_cache import PageCache


@dataclass(frozen=True, slots=True)
class Past:
    """The messages of a channel before those in its ring; channels without a history have none."""

    history: History
    pages: PageCache
    journal: Journal

    @property
    def failing(self) -> bool:
        """Whether the history could not be written or read at the last attempt."""
        return self.journal.failing
