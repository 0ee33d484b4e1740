"""What a process keeps for each server, until nobody has named the server for a while."""

import time
from collections.abc import Collection, Hashable, Sequence
from typing import Generic, TypeVar

FORGET_SECONDS = 600.0
"""How long nobody has named a server that is forgotten: longer than a failover or a restart takes."""

Server = TypeVar("Server", bound=Hashable)
Kept = TypeVar("Kept")


class Aging(Generic[Server, Kept]):
    """Keeps one thing for each server. The thing ages while nobody names the server.

    Where servers get a new address with each restart, a process meets thousands of them in its life.
    """

    def __init__(self) -> None:
        self._kept: dict[Server, Kept] = {}
        self._named_at: dict[Server, float] = {}

    def get(self, server: Server) -> Kept | None:
        return self._kept.get(server)

    def put(self, server: Server, kept: Kept) -> Kept:
        """Keeps something for a server, which is young now."""
        self._named_at[server] = time.monotonic()
        self._kept[server] = kept
        return kept

    def values(self) -> Collection[Kept]:
        return self._kept.values()

    def forget(self, named: Collection[Server]) -> Sequence[Kept]:
        """Takes out what is kept for servers that were not named for too long, and returns it."""
        now = time.monotonic()
        self._named_at.update((server, now) for server in named if server in self._kept)
        old = [each for each, at in self._named_at.items() if now - at > FORGET_SECONDS]
        for server in old:
            del self._named_at[server]
        return [self._kept.pop(server) for server in old]
