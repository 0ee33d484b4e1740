"""The newest warnings and errors of the hub's log, kept for the operator's page."""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

KEPT = 50
MAX_TEXT = 300
HOUR_MS = 3_600_000


class RecentRecords(logging.Handler):
    """Keeps the newest KEPT lines. A line that comes again at once counts once more."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = _text(record)
        except Exception:  # a line that cannot be formatted is reported by the other handlers
            return
        at, newest = round(record.created * 1000), self._lines[-1] if self._lines else None
        if newest is not None and (newest["level"], newest["text"]) == (record.levelname, text):
            newest.update(at=at, times=newest["times"] + 1)
        else:
            self._lines.append({"at": at, "level": record.levelname, "text": text, "times": 1})

    def lines(self, now_ms: int) -> Sequence[Mapping[str, Any]]:
        """Returns the lines of the last hour, the newest first. `at` is Unix time in ms."""
        return [dict(line) for line in reversed(self._lines) if line["at"] > now_ms - HOUR_MS]


def _text(record: logging.LogRecord) -> str:
    """Returns the line with the name of the error. What the error says may hold anything."""
    text = record.getMessage()
    if record.exc_info and record.exc_info[0] is not None:
        text += f" ({record.exc_info[0].__name__})"
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
