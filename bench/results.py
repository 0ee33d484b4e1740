"""All results of a run, with their medians, ratios and sums."""

import math
from collections import defaultdict
from collections.abc import Iterable
from statistics import median

from bench.ledger import Tally
from bench.meter import Cost
from bench.scenarios import Result

BASE = "nchan"
"""The server that every ratio refers to."""


class Results:
    """Results by scenario, server and repeat, with notes on missing ones."""

    def __init__(self) -> None:
        self._results: dict[tuple[str, str], dict[int, Result]] = defaultdict(dict)
        self._notes: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.failed = False

    def add(self, scenario: str, server: str, repeat: int, result: Result) -> None:
        self._results[scenario, server][repeat] = result

    def note(self, scenario: str, server: str, text: str) -> None:
        """Records why there is no result, or how it differs. Equal texts are kept once."""
        if text not in self._notes[scenario, server]:
            self._notes[scenario, server].append(text)

    def fail(self, scenario: str, server: str, reason: str) -> None:
        """Records that a load failed on a server."""
        self.failed = True
        self.note(scenario, server, f"failed: {reason}")

    def measured(self, scenario: str, server: str) -> bool:
        return bool(self._results[scenario, server])

    def notes(self, scenario: str, server: str) -> list[str]:
        return self._notes[scenario, server]

    def median(self, scenario: str, server: str, figure: str) -> float:
        """Returns the median over all repeats, or nan."""
        return _median(self._values(scenario, server, figure).values())

    def ratio(self, scenario: str, server: str, figure: str) -> float:
        """Returns the median of the ratios to nchan, each within one repeat, or nan."""
        base = self._values(scenario, BASE, figure)
        mine = self._values(scenario, server, figure)
        return _median(mine[n] / base[n] for n in mine if base.get(n))

    def tally(self, scenario: str, server: str) -> Tally:
        """Returns the sum of the counts of all repeats."""
        results = self._results[scenario, server].values()
        return sum((result.tally for result in results), start=Tally())

    def costs(self, scenario: str, server: str) -> list[Cost]:
        """Returns the cost of each repeat."""
        return [result.cost for result in self._results[scenario, server].values()]

    def _values(self, scenario: str, server: str, figure: str) -> dict[int, float]:
        results = self._results[scenario, server]
        return {n: result.figures.get(figure, math.nan) for n, result in results.items()}


def _median(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return median(known) if known else math.nan
