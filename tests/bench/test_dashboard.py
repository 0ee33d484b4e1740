"""What the dashboard costs the browser that shows it."""

import pytest

from bench.dashboard import Measured, run, table

pytestmark = pytest.mark.browser


def test_the_dashboard_is_measured_on_a_real_hub() -> None:
    (measured,) = run([50], seconds=2)
    assert measured.published_per_second > 0
    assert measured.shown_per_second > 0
    assert measured.busy > 0
    assert measured.heap_bytes > 100_000
    assert measured.nodes > 500


def test_the_table_is_for_people() -> None:
    text = table([Measured(500.4, 499.9, 0.154, 3_500_000, 3991)])
    assert text.splitlines()[2] == "| 500 | 500 | 15% | 3.3 MiB | 3,991 |"
