"""What a server of Redis says of itself (https://redis.io/docs/latest/commands/hello)."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hello:
    """What a server says of itself. Each is empty where it does not say."""

    mode: str = ""
    """`standalone`, `cluster` or `sentinel`."""
    role: str = ""
    """`master` or `replica`."""

    @classmethod
    def of(cls, answer: Sequence[bytes]) -> "Hello":
        """Reads an answer to HELLO."""
        said = dict(zip(answer[::2], answer[1::2], strict=True))
        return cls(*(said.get(name, b"").decode() for name in (b"mode", b"role")))
