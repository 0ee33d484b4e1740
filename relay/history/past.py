"""The parts of one channel's history that replay uses."""

from dataclasses import dataclass

from relay.history.history import History
from relay.history.journal import Journal
from relay.history.page_cache import PageCache


@dataclass(frozen=True, slots=True)
class Past:
    """The history of a channel, its pages and its journal. A channel without a history has no Past."""

    history: History
    pages: PageCache
    journal: Journal

    @property
    def failing(self) -> bool:
        """Whether the journal's last attempt to write or look failed."""
        return self.journal.failing

    @property
    def refused(self) -> bool:
        """Whether Redis refused that attempt, so that a wait is likely to be in vain."""
        return self.journal.refused
