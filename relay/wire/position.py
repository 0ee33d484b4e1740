"""The position of a message in the order of its channel."""

import re
from typing import NamedTuple, Self

ENTRY = re.compile(r"(0|[1-9][0-9]{0,19})-(0|[1-9][0-9]{0,19})")
MAX_PART = 2**64 - 1
"""Of the id of an entry of a Redis Stream."""

PATTERN = re.compile(r"([1-9][0-9]{0,15})-(0|[1-9][0-9]{0,15})")


class Position(NamedTuple):
    """The message number `offset`, from 1, of `epoch`. Offset 0 stands before the first message.

    Epochs only grow, so positions compare as tuples. The text form is `epoch-offset`, which is also
    the form of the id of a Redis Stream entry. Of a stream channel a position is such an id:
    milliseconds and a number, either of which may be 0.
    """

    epoch: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Returns the position, or None for any other text, so that a client's input may be passed."""
        match = PATTERN.fullmatch(text)
        return cls(int(match[1]), int(match[2])) if match else None

    @classmethod
    def parse_entry(cls, text: str) -> Self | None:
        """Returns the position that is the id of an entry, or None for any other text."""
        match = ENTRY.fullmatch(text)
        if match is None:
            return None
        position = cls(int(match[1]), int(match[2]))
        return position if max(position) <= MAX_PART else None

    @classmethod
    def of_entry(cls, identity: bytes) -> Self:
        """Returns the position that is the id of an entry, as Redis writes it."""
        epoch, _, offset = identity.partition(b"-")
        return cls(int(epoch), int(offset))

    @property
    def predecessor(self) -> "Position":
        """The greatest id of an entry below this one, which must not be 0-0."""
        if self.offset:
            return Position(self.epoch, self.offset - 1)
        return Position(self.epoch - 1, MAX_PART)

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"


def before(position: Position) -> Position:
    """Returns the position of a client that is to get the entry at `position` next."""
    return Position(position.epoch, max(position.offset - 1, 0))
