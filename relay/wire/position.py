"""Where a message stands in the one order of its channel."""

import re
from typing import NamedTuple, Self

_PATTERN = re.compile(r"([1-9][0-9]{0,15})-(0|[1-9][0-9]{0,15})")


class Position(NamedTuple):
    """The `offset`-th message, from 1, of `epoch`; offset 0 is the place before the first.

    Epochs only grow, so positions compare as tuples. The text form is `epoch-offset`, which is also
    the form of a Redis Stream entry id.
    """

    epoch: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The position that `text` is, or None; whatever a client sends may be given."""
        match = _PATTERN.fullmatch(text)
        return cls(int(match[1]), int(match[2])) if match else None

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"
