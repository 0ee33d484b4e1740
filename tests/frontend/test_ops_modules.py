"""The modules of the operator's page, one by one."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.frontend.test_frontend import run
from tests.support.browser import Shared

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def blank(browser: Browser, shared: Shared) -> Iterator[Page]:
    page = browser.new_page()
    page.goto(f"{shared.hub.url}/health/")
    yield page
    page.close()


def test_ages_and_rates_are_short(blank: Page) -> None:
    body = """return [0, 999, 1000, 61_000, 3_600_000, 90_061_000].map(m.formatAge).concat(
        [0.5, 1500].map(m.formatMs), [0, 0.123].map(m.formatPercent), [0.25, 9.96, 1234.5].map(m.formatRate),
        [1, 2].map(m.formatProcesses))"""
    assert run(blank, "ops/words", body) == [
        *("0 s", "0 s", "1 s", "1 min 1 s", "1 h", "1 d 1 h"),
        *("0.5 ms", "1.5 s"),
        *("0 %", "12.3 %"),
        *("0.3", "10", "1,235"),
        *("1 process", "2 processes"),
    ]


def test_the_newest_report_of_each_process_counts_and_silence_is_told(blank: Page) -> None:
    body = """
        const fleet = new m.Fleet();
        const seen = (now) => fleet.reports(now).map((r) => [r.process.id, r.at, r.silentMs]);
        const of = (id, at) => ({ at, process: { id, name: `h:${id}` } });
        fleet.take(of("10", 5), 0);
        fleet.take(of("9", 1), 1000);
        fleet.take(of("10", 4), 2000);
        const first = seen(3000);
        const second = seen(5500);
        fleet.wait(1000);
        const third = seen(5500);
        fleet.forget(31_500);
        return [first, second, third, seen(31_500)];
    """
    first, second, third, last = run(blank, "ops/fleet", body)
    assert first == [["9", 1, 0], ["10", 5, 0]]
    assert second == [["9", 1, 0], ["10", 5, 5500]]
    assert third == [["9", 1, 0], ["10", 5, 0]]
    assert last == [["9", 1, 29_500]]


def test_a_channel_of_several_processes_is_one(blank: Page) -> None:
    def channel(**values: Any) -> dict[str, Any]:
        row = {"name": "news", "kind": "channel", "streams": 0, "behind": 0, "replaying": 0}
        row |= {"perSecond": None, "ringEvents": 0, "ringBytes": 0, "ringFill": 0.0, "pending": 0}
        row |= {"kept": None, "keeps": None}
        return {**row, "history": "watching", "position": "", **values}

    reports = [
        {"channels": [channel(streams=2, perSecond=5, position="10-9", history="writing")]},
        {"channels": [channel(streams=3, perSecond=7, position="10-10"), channel(name="b")]},
        {"channels": [channel(ringFill=0.5, position="9-99")]},
    ]
    found = run(blank, "ops/sums", "return m.channelsOf(x)", reports)
    assert [row["name"] for row in found] == ["news", "b"]
    news = found[0]
    assert (news["streams"], news["perSecond"], news["ringFill"]) == (5, 7, 0.5)
    assert (news["position"], news["history"], news["processes"]) == ("10-10", "writing", 3)


def test_a_master_is_one_and_lost_by_some(blank: Page) -> None:
    def redis(live: bool, trip: float | None) -> dict[str, Any]:
        masters = [{"name": "m:1", "live": live}]
        return {
            "redis": {"masters": masters, "deployment": "server"},
            "rates": {"round_trip_ms": trip},
        }

    [master] = run(blank, "ops/sums", "return m.mastersOf(x)", [redis(True, 2), redis(False, None)])
    assert (master["live"], master["lost"], master["trips"]) == (1, 1, [2])


@pytest.mark.parametrize(
    ("reasons", "words"),
    [
        ([], "No gaps"),
        ([["slow-client", 1]], "1 gap: 1 slow-client"),
        ([["redis-lost", 1200], ["expired", 2]], "1,202 gaps: 1,200 redis-lost, 2 expired"),
    ],
)
def test_gaps_are_told_in_words(blank: Page, reasons: list[Any], words: str) -> None:
    assert run(blank, "ops/hour", "return m.wordsOf(new Map(x))", reasons) == words


@pytest.mark.parametrize("data", ["", "x", "null", "[]", "7", "{}", '{"process": {"id": 7}}'])
def test_what_is_no_report_is_none(blank: Page, data: str) -> None:
    assert run(blank, "ops/report", "return m.reportOf(x)", data) is None


def test_a_report_without_values_has_all_of_them(blank: Page) -> None:
    body = """
        const r = m.reportOf('{"process": {"id": "a"}}');
        const lists = [r.channels, r.streams, [...r.found], r.gaps, r.errors];
        return [r.process.name, r.figures.live, r.rates.cpu, ...lists];
    """
    assert run(blank, "ops/report", body) == ["unknown:?", None, None, [], [], [], [], []]
