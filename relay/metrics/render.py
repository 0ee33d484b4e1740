"""The values of a host in the text formats of Prometheus, as the scraper asks for them."""

import json
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector, CollectorRegistry

from relay.metrics.host import Host
from relay.metrics.table import BUILD, HOST, WORKER, Kind, Metric
from relay.stats import LAG_BOUNDS
from relay.version import __version__

WORKER_LABEL = "worker"
BOUNDS = [*(repr(bound) for bound in LAG_BOUNDS), "+Inf"]


class Rendered(NamedTuple):
    content_type: str
    body: bytes


def render_metrics(host: Host, accept: str) -> Rendered:
    """Returns the text format of Prometheus, or that of OpenMetrics where `accept` asks for it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(host))
    encode, content_type = choose_encoder(accept)
    return Rendered(content_type, encode(registry))


def render_details(host: Host) -> Rendered:
    """Returns what each worker says of itself, as JSON."""
    said = {
        "version": __version__,
        "silent": host.silent,
        "deaths": host.deaths,
        "workers": host.workers,
    }
    return Rendered("application/json", json.dumps(said, indent=1).encode() + b"\n")


class _Once(Collector):
    """The values of one scrape."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def collect(self) -> Iterable[Family]:
        yield self._build()
        yield from self._of_host()
        for row in WORKER:
            family = _family(row)
            for worker, snapshot in self._host.workers.items():
                if row.name in snapshot:
                    _add(family, row, [worker], snapshot[row.name])
            yield family

    def _build(self) -> Family:
        names = ["version", "python"]
        family = GaugeMetricFamily(
            BUILD, "The version of the hub and of Python; always 1.", labels=[WORKER_LABEL, *names]
        )
        for worker, snapshot in self._host.workers.items():
            family.add_metric([worker, *(snapshot[BUILD][name] for name in names)], 1)
        return family

    def _of_host(self) -> Iterable[Family]:
        host = self._host
        counts = {"answering": len(host.workers), "silent": host.silent}
        for row, value in zip(HOST, (counts, host.deaths), strict=True):
            family = _family(row)
            _add(family, row, [], value)
            yield family


def _family(row: Metric) -> Family:
    labels = [WORKER_LABEL] * row.per_worker + [row.label] * bool(row.label)
    match row.kind:
        case Kind.COUNTER:
            return CounterMetricFamily(row.name, row.help, labels=labels)
        case Kind.GAUGE:
            return GaugeMetricFamily(row.name, row.help, labels=labels)
        case Kind.HISTOGRAM:
            return HistogramMetricFamily(row.name, row.help, labels=labels)


def _add(family: Family, row: Metric, labels: Sequence[str], value: Any) -> None:
    match family:
        case HistogramMetricFamily():
            *counts, total = value
            buckets = list(zip(BOUNDS, accumulate(counts), strict=True))
            family.add_metric(labels, buckets, total)
        case CounterMetricFamily() | GaugeMetricFamily():
            values = value if isinstance(value, dict) else {"": value}
            for label, number in values.items():
                family.add_metric([*labels, label] if row.label else labels, number)
