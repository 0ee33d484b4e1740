"""The open streams of this process, and the limits of their number."""

from collections import Counter
from collections.abc import Iterator

from relay.access.identity import subject_of
from relay.conf import Settings
from relay.control.presence import Presence
from relay.engine.stream import Full, Owner, Stream
from relay.stats import Stats


class Streams:
    """Counts streams per user and address against the limits, and per channel for presence."""

    def __init__(self, settings: Settings, presence: Presence, stats: Stats) -> None:
        self._max = settings.max_streams
        self._limits = {
            "user": settings.max_streams_per_user,
            "address": settings.max_streams_per_address,
        }
        self._presence = presence
        self._stats = stats
        self._streams: set[Stream] = set()
        self._owned: Counter[tuple[str, str]] = Counter()

    def __len__(self) -> int:
        return len(self._streams)

    def __iter__(self) -> Iterator[Stream]:
        return iter(self._streams)

    def __contains__(self, stream: object) -> bool:
        return stream in self._streams

    def check_room(self, owner: Owner) -> None:
        """Raises Full when another stream would exceed a limit of the process, user or address."""
        if len(self._streams) >= self._max or any(
            self._limits[kind] and self._owned[kind, key] >= self._limits[kind]
            for kind, key in _counted(owner)
        ):
            raise Full("All streams are taken.")

    def add(self, stream: Stream) -> None:
        self._streams.add(stream)
        self._owned.update(_counted(stream.owner))
        self._presence.enter(stream.names, stream.owner.user)
        self._stats.streams_opened += 1
        self._stats.streams_open = len(self._streams)

    def remove(self, stream: Stream) -> None:
        """Removes a stream, which must have been added."""
        self._streams.remove(stream)
        self._presence.leave(stream.names, stream.owner.user)
        for key in _counted(stream.owner):
            self._owned[key] -= 1
            if not self._owned[key]:
                del self._owned[key]
        self._stats.streams_open = len(self._streams)


def _counted(owner: Owner) -> list[tuple[str, str]]:
    """Returns the keys under which the streams of an owner are counted."""
    subject = subject_of(owner.user, by_token=owner.by_token)
    return [(kind, key) for kind, key in (("user", subject), ("address", owner.address)) if key]
