"""The benchmark reckons and shows figures: percentiles, ratios, targets."""

import math
import random

import pytest

from bench import report, scenarios
from bench.figures import TARGETS
from bench.histogram import Histogram
from bench.ledger import Tally
from bench.meter import Cost
from bench.results import Results
from bench.scenarios import Idle, Live, Result
from bench.servers import SERVERS


def test_percentiles_are_values_that_occurred() -> None:
    values = [random.randrange(1000) for _ in range(997)]
    histogram = Histogram(values[:500])
    histogram.extend(values[500:-1])
    histogram.add(values[-1])
    for percent in (0, 1, 50, 90, 99, 99.9, 100):
        value = histogram.percentile(percent)
        assert value in values
        assert sum(v <= value for v in values) >= percent / 100 * len(values)
        assert sum(v < value for v in values) < max(percent / 100 * len(values), 1)


def test_percentiles_of_few_values_are_exact() -> None:
    histogram = Histogram([40, 10, 30, 20])
    assert [histogram.percentile(p) for p in (0, 25, 26, 50, 75, 76, 100)] == [
        *(10, 10, 20, 20, 30, 40, 40)
    ]
    histogram.add(5)
    assert histogram.percentile(0) == 5
    with pytest.raises(ValueError, match="no value"):
        Histogram().percentile(50)


def result(client_core: float = 0.5, others: float = 0.0, **figures: float) -> Result:
    cost = Cost(seconds=1.0, cpu_seconds=0.25, client_core=client_core, others=others)
    return Result(figures, Tally(delivered=10), cost)


def three_repeats() -> Results:
    results = Results()
    for repeat, (mine, base) in enumerate([(10.0, 10.0), (12.0, 24.0), (30.0, 20.0)]):
        results.add("live-1000", "hub", repeat, result(cpu_us=mine))
        results.add("live-1000", "nchan", repeat, result(cpu_us=base))
    return results


def test_a_figure_is_the_median_and_a_ratio_the_median_of_ratios_in_one_repeat() -> None:
    results = three_repeats()
    assert results.median("live-1000", "hub", "cpu_us") == 12
    assert results.ratio("live-1000", "hub", "cpu_us") == 1.0  # of 1.0, 0.5 and 1.5
    assert results.tally("live-1000", "hub") == Tally(delivered=30)
    assert math.isnan(results.median("live-1000", "hub", "p99_ms"))


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_tables_show_targets_ratios_faults_and_what_is_missing() -> None:
    results = three_repeats()
    lost = Result({"cpu_us": 1.0}, Tally(lost=3, delivered=1, doubled=2), result().cost)
    results.add("live-1000", "floor", 1, lost)
    results.note("live-1000", "django-eventstream", "not run, not installed")
    text = report.tables(results, [Live("live-1000", 1_000, 50, 10)], SERVERS)
    shown = rows(text)
    assert ["live-1000", "CPU µs per delivery", "≤ 0.75 × nchan", "1.000 × nchan", "no"] in shown
    assert ["live-1000", "p99 ms", "≤ 0.85 × nchan", "–", "not measured"] in shown
    assert ["Relay Hub", "12.00 (1.00 ×)", "–", "–", "–", "none", "25%", "50%"] in shown
    assert "3 lost (75.0%), 2 doubled" in text
    assert "- django-eventstream: not run, not installed." in text


def test_a_busy_client_and_a_disturbed_core_are_marked() -> None:
    results = Results()
    results.add("idle", "hub", 1, result(client_core=0.95, open_us=500))
    results.add("idle", "nchan", 1, result(others=0.2, open_us=40))
    shown = rows(report.tables(results, [Idle("idle", 10, 1)], SERVERS))
    assert ["idle", "CPU µs per opened stream", "≤ 70", "500", "no"] in shown
    assert [row[-1] for row in shown if row[0] == "Relay Hub"] == ["95% †"]
    assert [row[-1] for row in shown if row[0] == "nchan"] == ["50% ‡"]


def test_every_target_is_of_a_load_and_figure_that_there_are() -> None:
    for loads in (scenarios.scenarios(quick=False), scenarios.scenarios(quick=True)):
        figures = {(load.name, figure) for load in loads for figure in load.figures}
        assert {(target.scenario, target.figure) for target in TARGETS} <= figures
