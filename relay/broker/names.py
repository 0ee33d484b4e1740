"""What a connection subscribes to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain


@dataclass(frozen=True, slots=True)
class Names:
    """Channels (SUBSCRIBE), patterns (PSUBSCRIBE) and sharded channels (SSUBSCRIBE)."""

    channels: Sequence[str] = ()
    patterns: Sequence[str] = ()
    shard_channels: Sequence[str] = ()

    def __iter__(self) -> Iterator[str]:
        return chain(self.channels, self.patterns, self.shard_channels)

    @classmethod
    def joined(cls, parts: Sequence["Names"]) -> "Names":
        """Returns the names of all parts."""
        return cls(
            [name for part in parts for name in part.channels],
            [name for part in parts for name in part.patterns],
            [name for part in parts for name in part.shard_channels],
        )

    def by_command(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Yields how each command about them begins ("", "P" or "S"), and its words.

        A command about sharded channels has one name: Redis refuses names of two slots.
        """
        if self.channels:
            yield "", self.channels
        if self.patterns:
            yield "P", self.patterns
        for name in self.shard_channels:
            yield "S", [name]
