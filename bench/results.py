"""All results of a run, and what is made of them: medians, ratios, sums."""

import math
from collections import defaultdict
from collections.abc import Iterable
from statistics import median

from bench.ledger import Tally
from bench.meter import Cost
from bench.scenarios import Result

BASE = "nchan"
"""The server that all ratios are to."""


class Results:
    """Results by scenario, server and repeat, with notes on what is missing."""

    def __init__(self) -> None:
        self._results: dict[tuple[str, str], dict[int, Result]] = defaultdict(dict)
        self._notes: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.failed = False

    def add(self, scenario: str, server: str, repeat: int, result: Result) -> None:
        self._results[scenario, server][repeat] = result

    def note(self, scenario: str, server: str, text: str) -> None:
        """Why there is no result, or how it differs. The same text is kept once."""
        if text not in self._notes[scenario, server]:
            self._notes[scenario, server].append(text)

    def fail(self, scenario: str, server: str, reason: str) -> None:
        """A result that there should be."""
        self.failed = True
        self.note(scenario, server, f"failed: {reason}")

    def measured(self, scenario: str, server: str) -> bool:
        return bool(self._results[scenario, server])

    def notes(self, scenario: str, server: str) -> list[str]:
        return self._notes[scenario, server]

    def median(self, scenario: str, server: str, figure: str) -> float:
        """The median over all repeats, or nan."""
        return _median(self._values(scenario, server, figure).values())

    def ratio(self, scenario: str, server: str, figure: str) -> float:
        """The median of the ratios to nchan, each within one repeat, or nan."""
        base = self._values(scenario, BASE, figure)
        mine = self._values(scenario, server, figure)
        return _median(mine[n] / base[n] for n in mine if base.get(n))

    def tally(self, scenario: str, server: str) -> Tally:
        """The counts of all repeats together."""
        results = self._results[scenario, server].values()
        return sum((result.tally for result in results), start=Tally())

    def costs(self, scenario: str, server: str) -> list[Cost]:
        """What each repeat cost."""
        return [result.cost for result in self._results[scenario, server].values()]

    def _values(self, scenario: str, server: str, figure: str) -> dict[int, float]:
        results = self._results[scenario, server]
        return {n: result.figures.get(figure, math.nan) for n, result in results.items()}


def _median(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return median(known) if known else math.nan
