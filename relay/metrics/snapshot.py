"""The values of one hub at one moment, as plain values that pass through JSON.

Nothing is counted for them but what relay/stats.py counts: the rest is read here, when somebody asks.
"""

import asyncio
import heapq
import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from relay.engine.channel import Channel
from relay.engine.delivery import Delivery
from relay.engine.group import Group
from relay.engine.hub import Hub
from relay.metrics.process import process_values
from relay.metrics.table import (
    BUILD,
    GAPS,
    HISTORY_STATES,
    REFUSALS,
    STREAM_STATES,
    WORKER_STATES,
)
from relay.version import __version__

Value = float | Mapping[str, Any] | Sequence[float]
"""A number; numbers by the value of a label; or a histogram (relay.stats.Histogram.as_list)."""

Snapshot = Mapping[str, Value]
"""Values by the names of their metrics."""

TOP_CHANNELS = 20
"""How many channels `details` lists: the answer of a worker has a bound."""

SLICE = 256
"""How many channels are read before the event loop goes on."""

GROUP_CHANNELS = 10
"""How many channels of a group it names."""


async def take_snapshot(hub: Hub) -> dict[str, Value]:
    """Returns a value for each row of `table.WORKER`, and the build."""
    deliveries = await _of_deliveries(list(hub.channels))
    return {
        BUILD: {"version": __version__, "python": platform.python_version()},
        **_of_counters(hub),
        **_of_redis(hub),
        **deliveries,
        **process_values(),
        "relay_tasks": len(asyncio.all_tasks()),
    }


async def take_details(hub: Hub) -> dict[str, Any]:
    """Returns the snapshot, and the channels and groups with the most streams."""
    most = heapq.nlargest(TOP_CHANNELS, hub.channels, key=len)
    return {
        "pid": os.getpid(),
        "metrics": await take_snapshot(hub),
        "channels": [_describe(delivery) for delivery in most],
    }


def _of_counters(hub: Hub) -> dict[str, Value]:
    stats, state = hub.stats, "draining" if hub.stopping else "serving"
    return {
        "relay_worker_state": {each: int(each == state) for each in WORKER_STATES},
        "relay_streams_max": hub.settings.max_streams,
        "relay_streams_opened_total": stats.streams_opened,
        "relay_streams_refused_total": {reason: stats.refused[reason] for reason in REFUSALS},
        "relay_streams_cut_total": stats.streams_cut,
        "relay_streams_resumed_total": stats.resumed,
        "relay_received_messages_total": stats.messages,
        "relay_received_bytes_total": stats.received_bytes,
        "relay_oversize_messages_total": stats.oversize,
        "relay_invalid_messages_total": stats.invalid_utf8,
        "relay_sent_messages_total": stats.sent_messages,
        "relay_sent_bytes_total": stats.sent_bytes,
        "relay_replayed_messages_total": stats.replayed_messages,
        "relay_gaps_total": {reason: stats.gaps[reason] for reason in GAPS},
        "relay_delivery_lag_seconds": stats.lag.as_list(),
        "relay_history_written_entries_total": stats.history_written,
        "relay_history_read_pages_total": stats.pages_read,
        "relay_event_loop_delay_seconds": stats.loop_delay.as_list(),
        "relay_event_loop_stalls_total": stats.loop_stalls,
    }


def _of_redis(hub: Hub) -> dict[str, Value]:
    stats = hub.stats
    return {
        "relay_redis_live": int(hub.live),
        "relay_redis_reading_paused": int(hub.paused),
        "relay_redis_losses_total": stats.redis_losses,
        "relay_redis_reconnects_total": stats.redis_reconnects,
        "relay_redis_moves_total": stats.redis_moves,
        "relay_redis_round_trip_seconds": stats.round_trip.as_list(),
    }


async def _of_deliveries(deliveries: Sequence[Delivery]) -> dict[str, Value]:
    """Lets streams be served in between: there may be thousands of channels."""
    streams = dict.fromkeys(STREAM_STATES, 0)
    histories = dict.fromkeys(HISTORY_STATES, 0)
    events = size = pending = channels = 0
    fill = 0.0
    for number, delivery in enumerate(deliveries, 1):
        if number % SLICE == 0:
            await asyncio.sleep(0)
        load = delivery.load
        streams["live"] += load.live
        streams["behind"] += load.behind
        streams["replaying"] += load.replaying
        events += load.ring_events
        size += load.ring_bytes
        fill = max(fill, load.ring_fill)
        if isinstance(delivery, Channel):
            channels += 1
            if delivery.history_state in histories:
                histories[delivery.history_state] += 1
            pending += delivery.pending
    return {
        "relay_streams": streams,
        "relay_channels": channels,
        "relay_channel_groups": len(deliveries) - channels,
        "relay_ring_events": events,
        "relay_ring_bytes": size,
        "relay_ring_fill_ratio": fill,
        "relay_history_channels": histories,
        "relay_history_pending_messages": pending,
    }


def _describe(delivery: Delivery) -> dict[str, Any]:
    load = delivery.load
    described: dict[str, Any] = {
        "streams": {"live": load.live, "behind": load.behind, "replaying": load.replaying},
        "ring": {"events": load.ring_events, "bytes": load.ring_bytes, "fill": load.ring_fill},
    }
    if isinstance(delivery, Channel):
        position = delivery.feed.timeline.position
        described["name"] = delivery.name
        described["position"] = str(position) if position else None
        described["history"] = delivery.history_state
    if isinstance(delivery, Group):
        described["channels"] = [each.name for each in delivery.channels[:GROUP_CHANNELS]]
    return described
