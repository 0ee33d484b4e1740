"""Log lines about something that fails: one when it begins, one when it is over."""

import logging

logger = logging.getLogger("relay")


class Outage:
    """Shared by all who may suffer from the same outage: the first begins it, the last ends it.

    `begun` is a warning, `ended` an information; both are formats, as `logging` takes them. Both
    methods may be repeated.
    """

    def __init__(self, begun: str, ended: str) -> None:
        self._begun = begun
        self._ended = ended
        self._sufferers: set[object] = set()

    def begin(self, who: object, *words: object) -> None:
        """`who` suffers from the outage; `words` fill the line."""
        if not self._sufferers:
            logger.warning(self._begun, *words)
        self._sufferers.add(who)

    def end(self, who: object, *words: object) -> None:
        """`who` works again, or is gone; `words` fill the line."""
        if who in self._sufferers:
            self._sufferers.remove(who)
            if not self._sufferers:
                logger.info(self._ended, *words)
