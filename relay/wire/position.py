"""The position of a message in the order of its channel."""

import re
from typing import NamedTuple, Self

PATTERN = re.compile(r"([1-9][0-9]{0,15})-(0|[1-9][0-9]{0,15})")


class Position(NamedTuple):
    """The message number `offset`, from 1, of `epoch`. Offset 0 stands before the first message.

    Epochs only grow, so positions compare as tuples. The text form is `epoch-offset`, which is also
    the form of the id of a Redis Stream entry.
    """

    epoch: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Returns the position, or None for any other text, so that a client's input may be passed."""
        match = PATTERN.fullmatch(text)
        return cls(int(match[1]), int(match[2])) if match else None

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"


def before(position: Position) -> Position:
    """Returns the position of a client that is to get the entry at `position` next."""
    return Position(position.epoch, max(position.offset - 1, 0))
