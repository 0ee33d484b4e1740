"""The figures of a process for the operator's page."""

import os
from collections.abc import Mapping
from typing import Any

from relay.engine.hub import Hub
from relay.metrics.process import process_values
from relay.operator.channels import ChannelRows
from relay.operator.samples import Sample
from relay.version import __version__

WORKER_VARIABLE = "HUB_WORKER"
"""The number that the parent of the workers gave this process (relay/workers/)."""


def take_sample(hub: Hub, now: float) -> Sample:
    """Returns the counters of this moment; `now` is in seconds."""
    name, times = hub.catalogue.operators.name, os.times()
    reports = hub.channels[name].feed.timeline.count if name in hub.channels.names else 0
    return Sample.of(hub.stats, now, times.user + times.system, reports)


def process_of(hub: Hub) -> Mapping[str, Any]:
    """Returns what names the process."""
    return {
        "id": hub.id,
        **hub.reporter.identity,
        "version": __version__,
        "worker": os.environ.get(WORKER_VARIABLE, "")[:3],
        "state": str(hub.state),
    }


def figures_of(hub: Hub, channels: ChannelRows) -> Mapping[str, Any]:
    """Returns numbers of this moment, and totals since the start. The operator's channel does not count."""
    stats, values = hub.stats, process_values()
    own = int(hub.catalogue.operators.name in hub.channels.names)
    return {
        **channels.streams,
        "streams_max": hub.settings.max_streams,
        "channels": channels.channels - own,
        "groups": channels.groups,
        "messages": stats.messages,
        "refused": sum(stats.refused.values()),
        "cut_streams": stats.streams_cut,
        "gaps": stats.gaps_told,
        "stalls": stats.loop_stalls,
        "memory_bytes": values.get("process_resident_memory_bytes"),
        "descriptors": values.get("process_open_fds"),
        "descriptors_max": values["process_max_fds"],
    }


def redis_of(hub: Hub) -> Mapping[str, Any]:
    """Returns which servers the process listens to, and how it goes."""
    return {
        "deployment": hub.context.broker.topology.deployment,
        "name": hub.context.broker.topology.name,
        "masters": [{"name": name, "live": live} for name, live in hub.sources.listeners.masters],
        "paused": hub.paused,
        "losses": hub.stats.redis_losses,
        "moves": hub.stats.redis_moves,
    }
