"""Bounds the memory of large answers that their clients have yet to read."""

from typing import Any
from weakref import WeakSet

from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _

from relay.access.problem import Problem

LARGE_BYTES = 64 * 1024
MAX_BYTES = 64 * 1024 * 1024
"""How much all large answers of a process may have; those that are being made come on top."""


class LargeAnswer(HttpResponse):
    """Counts, if it is large, until the server has taken it or its client is gone."""

    _open: "WeakSet[LargeAnswer]" = WeakSet()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(self.content) >= LARGE_BYTES:
            self._open.add(self)

    def close(self) -> None:
        """Called by Django in either case. A failure of the server leaves it to the collector."""
        super().close()
        self._open.discard(self)

    @classmethod
    def require_room(cls) -> None:
        """Raises Problem (503) while there is no room for another one."""
        if sum(len(answer.content) for answer in cls._open) >= MAX_BYTES:
            detail = _("Too many large answers are being sent.")
            raise Problem(503, detail, [(b"Retry-After", b"1")])
