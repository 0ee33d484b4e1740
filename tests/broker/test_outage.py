"""An outage is reported once when it begins and once when it is over."""

import logging

import pytest

from relay.broker.outage import Outage


@pytest.fixture
def outage(caplog: pytest.LogCaptureFixture) -> Outage:
    caplog.set_level(logging.INFO, "relay")
    return Outage("Lost: %s.", "Back after %.1f s.")


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_the_first_begins_it_and_the_last_ends_it(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    outage.begin("a", "no answer")
    outage.begin("b", "a refusal")
    outage.begin("a", "no answer")
    outage.end("a", 1)
    assert lines(caplog) == [("WARNING", "Lost: no answer.")]
    outage.end("b", 2.25)
    assert lines(caplog) == [("WARNING", "Lost: no answer."), ("INFO", "Back after 2.2 s.")]


def test_the_end_of_what_never_began_is_no_line(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    outage.end("a", 1)
    outage.begin("a", "no answer")
    outage.end("b", 1)
    assert lines(caplog) == [("WARNING", "Lost: no answer.")]


def test_another_outage_is_reported_again(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        outage.begin("a", "no answer")
        outage.end("a", 1)
    assert [level for level, _ in lines(caplog)] == ["WARNING", "INFO"] * 2
