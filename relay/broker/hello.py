"""What a server of Redis says of itself (https://redis.io/docs/latest/commands/hello)."""

from collections.abc import Sequence
from dataclasses import dataclass

from relay.broker.pairs import read_pairs


@dataclass(frozen=True, slots=True)
class Hello:
    """What a server says of itself. Each is empty where it does not say."""

    mode: str = ""
    """`standalone`, `cluster` or `sentinel`."""
    role: str = ""
    """`master` or `replica`."""

    @classmethod
    def of(cls, answer: Sequence[object]) -> "Hello":
        """Reads an answer to HELLO."""
        said = read_pairs(answer)
        return cls(said.get("mode", ""), said.get("role", ""))
