"""Reads an admin address as Prometheus does: the parser is prometheus-client's."""

import http.client
import json
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support.waiting import wait_until

Series = tuple[str, frozenset[tuple[str, str]]]


def fetch(
    port: int, path: str, method: str = "GET", headers: Mapping[str, str] | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request(method, path, headers=dict(headers or {}))
        with connection.getresponse() as response:
            return response.status, response.headers, response.read()
    finally:
        connection.close()


class Samples:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.types: dict[str, str] = {}
        self._values: dict[Series, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                series = sample.name, frozenset(sample.labels.items())
                assert series not in self._values, f"{series} is there twice"
                self._values[series] = sample.value
                self.types[sample.name] = family.type

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self._values}

    def sum(self, name: str, **labels: str) -> float:
        """The sum of all series of a name that have these labels. Fails where there is none."""
        found = [
            value
            for (series, pairs), value in self._values.items()
            if series == name and pairs >= frozenset(labels.items())
        ]
        assert found, f"there is no {name} with {labels}"
        return sum(found)

    def by(self, label: str, name: str) -> dict[str, float]:
        """The sums by the value of a label, without those that are 0."""
        sums: dict[str, float] = {}
        for (series, pairs), value in self._values.items():
            if series == name:
                key = dict(pairs)[label]
                sums[key] = sums.get(key, 0) + value
        return {key: value for key, value in sums.items() if value}

    def workers(self) -> set[str]:
        pairs = {pair for name, labels in self._values for pair in labels}
        return {value for label, value in pairs if label == "worker"}


def scrape(port: int) -> Samples:
    status, _, body = fetch(port, "/metrics")
    assert status == 200, body
    return Samples(body.decode())


def details(port: int) -> dict[str, Any]:
    status, headers, body = fetch(port, "/details")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    return dict(json.loads(body))


def scrape_until(port: int, what: str, condition: Callable[[Samples], Any]) -> Samples:
    """The first scrape of which `condition` is true."""

    def found() -> Samples | None:
        try:
            samples = scrape(port)
        except OSError:
            return None
        return samples if condition(samples) else None

    samples: Samples = wait_until(found, what, 15)
    return samples
