"""The table of metrics: one row each. Names follow the conventions of Prometheus."""

from dataclasses import dataclass
from enum import StrEnum

from relay.engine.stream import Refusal
from relay.wire.notices import GapReason


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """`label` is the label beside `worker`, if there is one, and `values` all that it may be."""

    name: str
    kind: Kind
    help: str
    label: str = ""
    values: tuple[str, ...] = ()
    per_worker: bool = True


def _counter(name: str, text: str, label: str = "", values: tuple[str, ...] = ()) -> Metric:
    return Metric(name, Kind.COUNTER, text, label, values)


def _gauge(name: str, text: str, label: str = "", values: tuple[str, ...] = ()) -> Metric:
    return Metric(name, Kind.GAUGE, text, label, values)


def _histogram(name: str, text: str) -> Metric:
    return Metric(name, Kind.HISTOGRAM, text)


STREAM_STATES = ("live", "behind", "replaying")
WORKER_STATES = ("serving", "draining")
HISTORY_STATES = ("writing", "watching", "failing", "source")
REFUSALS = tuple(str(reason) for reason in Refusal)
GAPS = tuple(str(reason) for reason in GapReason)

BUILD = "relay_build_info"
"""A gauge whose labels are texts: the version of the hub and that of Python."""

HOST = (
    Metric(
        "relay_workers",
        Kind.GAUGE,
        "Worker processes, by whether they answered this scrape in time.",
        "state",
        ("answering", "silent"),
        per_worker=False,
    ),
    Metric(
        "relay_worker_deaths_total",
        Kind.COUNTER,
        "Workers that ended unasked and were replaced.",
        per_worker=False,
    ),
)

WORKER = (
    _gauge("relay_worker_state", "1 for the state of the worker.", "state", WORKER_STATES),
    _gauge("relay_streams", "Open streams.", "state", STREAM_STATES),
    _gauge("relay_streams_max", "Streams that the process takes at most (RELAY_MAX_STREAMS)."),
    _counter("relay_streams_opened_total", "Streams opened."),
    _counter("relay_streams_refused_total", "Requests sent away.", "reason", REFUSALS),
    _counter("relay_streams_cut_total", "Streams cut because their client took nothing."),
    _counter("relay_streams_resumed_total", "Streams resumed from a last event id without a gap."),
    _counter("relay_received_messages_total", "Messages received from Redis."),
    _counter("relay_received_bytes_total", "Bytes of these messages, as published."),
    _counter("relay_oversize_messages_total", "Messages announced instead of delivered."),
    _counter("relay_invalid_messages_total", "Messages in which invalid UTF-8 was replaced."),
    _counter("relay_sent_messages_total", "Messages handed to streams, once for each stream."),
    _counter("relay_sent_bytes_total", "Bytes handed to streams."),
    _counter("relay_replayed_messages_total", "Messages of the past handed to new streams."),
    _counter("relay_gaps_total", "Gaps told to clients.", "reason", GAPS),
    _histogram(
        "relay_delivery_lag_seconds",
        "From the receipt of the oldest message of a pass until all streams were sent it.",
    ),
    _histogram(
        "relay_redis_round_trip_seconds",
        "From the start of a probe until it came back through the subscribed connection.",
    ),
    _gauge("relay_redis_live", "1 while the subscription stands and every part of the hub runs."),
    _gauge("relay_redis_reading_paused", "1 while streams have to catch up before more is read."),
    _counter("relay_redis_losses_total", "Times that the connection to Redis was lost."),
    _counter("relay_redis_reconnects_total", "Connections that took over from an earlier one."),
    _counter("relay_redis_moves_total", "Of these, the ones that led to another server."),
    _gauge("relay_channels", "Channels that the process is subscribed to."),
    _gauge("relay_channel_groups", "Sets of channels that clients asked for together."),
    _gauge("relay_ring_events", "Events in all rings."),
    _gauge("relay_ring_bytes", "Bytes in all rings."),
    _gauge(
        "relay_ring_fill_ratio", "How full the fullest ring is. A full ring is the usual state."
    ),
    _gauge("relay_history_channels", "Channels with a history.", "state", HISTORY_STATES),
    _gauge("relay_history_pending_messages", "Messages not known to be in the history."),
    _counter("relay_history_written_entries_total", "Entries written to the history."),
    _counter("relay_history_read_pages_total", "Pages of the history read for new streams."),
    _histogram("relay_event_loop_delay_seconds", "How late the ticker was woken up."),
    _counter("relay_event_loop_stalls_total", "Times that this was 0.1 s or more."),
    _gauge("relay_tasks", "asyncio tasks."),
    _counter("process_cpu_seconds_total", "CPU time, user and system, in seconds."),
    _gauge("process_resident_memory_bytes", "Resident memory in bytes."),
    _gauge("process_virtual_memory_bytes", "Virtual memory in bytes."),
    _gauge("process_open_fds", "Open file descriptors."),
    _gauge("process_max_fds", "The most file descriptors that the process may have."),
    _gauge("process_start_time_seconds", "Start of the process, in Unix time."),
)
"""What each worker says of itself."""
