"""The channels of a process for the operator's page: those with the most streams, and sums over all."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from relay.engine.channel import Channel
from relay.engine.delivery import Delivery
from relay.engine.group import Group
from relay.operator.history_use import HistoryUse
from relay.operator.slices import in_slices

TOP = 60
"""How many channels and groups a report has."""

GROUP_CHANNELS = 5
"""How many channels of a group it names."""


@dataclass(frozen=True, slots=True)
class _Ranked:
    """The order of channels: by streams, then by rate."""

    rank: tuple[int, float]
    delivery: Delivery = field(compare=False)


@dataclass(slots=True)
class ChannelRows:
    """What `take` found. `streams` are the numbers of all streams by state."""

    rows: Sequence[Mapping[str, Any]]
    channels: int
    groups: int
    streams: Mapping[str, int]


class ChannelTable:
    """Makes the rows. It remembers how many messages each channel had, to know the rates."""

    def __init__(self) -> None:
        self._use = HistoryUse()
        self._counts: dict[str, int] = {}
        self._at = 0.0

    async def take(self, deliveries: Sequence[Delivery], now: float) -> ChannelRows:
        """Reads all deliveries in slices. `now` is in seconds. A channel has no rate the first time."""
        seconds, counts = now - self._at, dict[str, int]()
        streams = {"live": 0, "behind": 0, "replaying": 0}
        rates: dict[Delivery, float | None] = {}
        best: list[_Ranked] = []
        async for some in in_slices(deliveries):
            for delivery in some:
                if isinstance(delivery, Channel):
                    counts[delivery.name] = count = delivery.feed.timeline.count
                    before = self._counts.get(delivery.name)
                    rates[delivery] = None if before is None else (count - before) / seconds
                load = delivery.load
                for state in streams:
                    streams[state] += getattr(load, state)
            ranked = [_Ranked((len(each), rates.get(each) or 0.0), each) for each in some]
            best = _best([*best, *ranked])
        self._counts, self._at = counts, now
        shown = [each.delivery for each in best]
        kept = await self._use.look([each for each in shown if isinstance(each, Channel)], now)
        rows = [_row(each, rates.get(each), kept) for each in shown]
        return ChannelRows(rows, len(counts), len(deliveries) - len(counts), streams)


def _best(ranked: Iterable[_Ranked]) -> list[_Ranked]:
    return heapq.nlargest(TOP, ranked, key=attrgetter("rank"))


def _row(delivery: Delivery, rate: float | None, kept: Mapping[str, int]) -> Mapping[str, Any]:
    load = delivery.load
    row: dict[str, Any] = {
        "name": "",
        "streams": load.live + load.behind + load.replaying,
        "behind": load.behind,
        "replaying": load.replaying,
        "per_second": None if rate is None else round(rate, 1),
        "ring": [load.ring_events, load.ring_bytes, round(load.ring_fill, 3)],
        "history": "off",
        "kept": None,
        "keeps": None,
        "pending": 0,
        "position": "",
        "kind": "group",
    }
    if isinstance(delivery, Group):
        names = [channel.name for channel in delivery.channels]
        others = len(names) - GROUP_CHANNELS
        row["name"] = " + ".join(names[:GROUP_CHANNELS]) + (f" + {others}" if others > 0 else "")
    if isinstance(delivery, Channel):
        position = delivery.feed.timeline.position
        row |= {
            "name": delivery.name,
            "kind": "channel",
            "history": delivery.history_state,
            "kept": kept.get(delivery.name),
            "keeps": delivery.spec.history_size,
            "pending": delivery.pending,
            "position": str(position or ""),
        }
    return row
