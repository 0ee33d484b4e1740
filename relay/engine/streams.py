"""The open streams of this process, and the limits of their number."""

import logging
from collections.abc import Iterator

from relay.access.identity import subject_of
from relay.conf import Settings
from relay.control.presence import Presence
from relay.control.seats import Seats
from relay.engine.stream import Full, Owner, Refusal, Stream, logs_streams
from relay.stats import Stats

logger = logging.getLogger("relay")

TAKEN = "All streams are taken."


class Streams:
    """Holds each stream against the limits, and counts it per channel for presence."""

    def __init__(self, settings: Settings, presence: Presence, seats: Seats, stats: Stats) -> None:
        self._max = settings.max_streams
        self._presence = presence
        self._seats = seats
        self._stats = stats
        self._streams: set[Stream] = set()

    def __len__(self) -> int:
        return len(self._streams)

    def __iter__(self) -> Iterator[Stream]:
        return iter(self._streams)

    def __contains__(self, stream: object) -> bool:
        return stream in self._streams

    def check_room(self) -> None:
        """Raises Full when the process has all the streams that it may have."""
        if len(self._streams) >= self._max:
            raise Full(TAKEN)

    async def take_seat(self, owner: Owner) -> None:
        """Takes the seat of a stream that is to be opened. Raises Full when its owner has no more.

        Call `give_back` if it is not opened.
        """
        if not await self._seats.take(_counted(owner)):
            raise Full(TAKEN, Refusal.OWNER)

    def give_back(self, owner: Owner) -> None:
        self._seats.leave(_counted(owner))

    def add(self, stream: Stream) -> None:
        """Adds a stream, whose seat was taken."""
        self._streams.add(stream)
        self._presence.enter(stream.names, stream.owner.user)
        self._stats.streams_opened += 1
        self._stats.streams_open = len(self._streams)

    def remove(self, stream: Stream) -> None:
        """Removes a stream, which must have been added. Its seat is free."""
        self._streams.remove(stream)
        self._presence.leave(stream.names, stream.owner.user)
        self.give_back(stream.owner)
        self._stats.streams_open = len(self._streams)
        if logs_streams():
            fields = stream.log_fields()
            logger.debug("Stream %s ended.", fields["stream"], extra=fields)


def _counted(owner: Owner) -> list[tuple[str, str]]:
    """Returns the keys under which the streams of an owner are counted."""
    subject = subject_of(owner.user, by_token=owner.by_token)
    return [(kind, key) for kind, key in (("user", subject), ("address", owner.address)) if key]
