"""The streams of a process for the operator's page: those that lag most, and those that were asked for."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relay.conf import Settings
from relay.conf.proxies import direct_address
from relay.engine.numbers import opened_at
from relay.engine.stream import Stream
from relay.feed.writer import Observed
from relay.operator.slices import in_slices

TOP = 100
"""How many streams a report has, and how many of a text that is looked for."""

CHANNELS = 3
"""How many channels of a stream it names."""

MAX_TEXT = 255
"""How much of a name it has."""


@dataclass(frozen=True, slots=True)
class StreamRows:
    top: Sequence[Mapping[str, Any]]
    found: Mapping[str, Sequence[Mapping[str, Any]]]
    """The rows for each text."""


class StreamTable:
    """Makes the rows."""

    def __init__(self, settings: Settings) -> None:
        self._trusted = settings.trusted_proxies

    async def take(self, streams: Sequence[Stream], texts: Sequence[str], now: float) -> StreamRows:
        """Reads all streams in slices. `now` is loop time."""
        top: list[Stream] = []
        found: dict[str, list[Stream]] = {text: [] for text in texts}
        async for some in in_slices(streams):
            top = heapq.nlargest(TOP, [*top, *some], key=_rank)
            for text, matching in found.items():
                if len(matching) < TOP:
                    wanted = text.casefold()
                    matching += [each for each in some if self._matches(each, wanted)]
        rows = {text: self._rows(matching[:TOP], now) for text, matching in found.items()}
        return StreamRows(self._rows(top, now), rows)

    def _matches(self, stream: Stream, wanted: str) -> bool:
        texts = (stream.owner.user, stream.id, *stream.names, self._address(stream))
        return any(wanted in text.casefold() for text in texts)

    def _rows(self, streams: Sequence[Stream], now: float) -> Sequence[Mapping[str, Any]]:
        return [self._row(stream, now) for stream in streams]

    def _row(self, stream: Stream, now: float) -> Mapping[str, Any]:
        state, position, lag = stream.delivery.standing(stream.subscriber)
        writer = stream.subscriber.writer
        return {
            "id": stream.id,
            "user": stream.owner.user[:MAX_TEXT],
            "by_token": stream.owner.by_token,
            "address": self._address(stream),
            "channels": list(stream.names[:CHANNELS]),
            "others": max(len(stream.names) - CHANNELS, 0),
            "seconds": round(max(now - opened_at(stream.number), 0.0), 1),
            "state": state,
            "position": position,
            "lag": lag,
            "waiting": writer.waiting_bytes() if isinstance(writer, Observed) else None,
        }

    def _address(self, stream: Stream) -> str:
        """Returns the address by which limits count, else that of the connection, unless it is a proxy's."""
        if stream.owner.address:
            return stream.owner.address
        writer = stream.subscriber.writer
        peer = writer.peer() if isinstance(writer, Observed) else ""
        return direct_address(peer, self._trusted) if peer else ""


def _rank(stream: Stream) -> tuple[int, int]:
    """Streams that lag come first, then the newest."""
    return stream.delivery.lag(stream.subscriber) or 0, stream.number
