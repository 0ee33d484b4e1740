"""Says once that the history has trouble, and once that it is over, however many channels have it."""

import logging

logger = logging.getLogger("relay")


class Outage:
    """`begin` and `end` by any number of journals; harmless when repeated."""

    def __init__(self) -> None:
        self._of: set[object] = set()

    def begin(self, journal: object, error: Exception) -> None:
        """This journal cannot write."""
        if not self._of:
            logger.warning(
                "The history cannot be written: %s. Live messages go on; a client that comes back"
                " may be told of a gap.",
                error,
            )
        self._of.add(journal)

    def end(self, journal: object) -> None:
        """This journal writes again, or is no more."""
        if journal in self._of:
            self._of.remove(journal)
            if not self._of:
                logger.info("The history is written again.")
