"""The parts of a report, one by one: bounds, rates, rows and the newest lines of the log."""

import json
import logging
import sys
from typing import Any

import pytest

from relay.conf.catalogue import REPORT_BYTES, Catalogue, operator_target
from relay.conf.proxies import direct_address, parse_networks
from relay.control.watch import MAX_TEXTS, VALID_SECONDS, Watch, Watches
from relay.engine.last_hour import MINUTE_MS, LastHour
from relay.engine.numbers import Numbers, opened_at
from relay.operator.records import HOUR_MS, KEPT, MAX_TEXT, RecentRecords
from relay.operator.report import encode
from relay.operator.samples import Sample, late_ms
from relay.operator.slices import SLICE, in_slices
from relay.stats import LAG_BOUNDS, Histogram, Stats

# -- the report


def report(**lists: Any) -> dict[str, Any]:
    return {"channels": [], "streams": [], "found": {}, "errors": [], **lists}


def test_a_report_that_fits_is_whole() -> None:
    encoded = encode(report(streams=[{"id": "1"}]))
    assert json.loads(encoded) == {**report(streams=[{"id": "1"}]), "cut": False}


@pytest.mark.parametrize("name", ["channels", "streams", "errors"])
def test_a_report_has_a_bound(name: str) -> None:
    encoded = encode(report(**{name: [{"text": "€" * 300}] * 500}))
    assert REPORT_BYTES / 3 < len(encoded) <= REPORT_BYTES
    assert json.loads(encoded)["cut"] is True
    assert json.loads(encoded)[name]


def test_what_was_found_is_cut_as_well() -> None:
    rows = [{"text": "x" * 255}] * 100
    encoded = encode(report(found={str(number): rows for number in range(4)}, streams=rows))
    assert len(encoded) <= REPORT_BYTES
    assert all(json.loads(encoded)["found"].values())


def test_a_report_is_one_line_of_ascii() -> None:
    encoded = encode(report(errors=[{"text": "a\r\n\u2028\ud800<img>"}]))
    assert encoded.isascii()
    assert len(encoded.splitlines()) == 1


# -- watches


@pytest.mark.parametrize("text", ["", "ann", "€\u202e\n" * 30])
def test_a_watch_is_read_as_it_was_written(text: str) -> None:
    assert Watch.decode(Watch(text).encode()) == Watch(text)


@pytest.mark.parametrize(
    "message",
    [b"", b"look", b"[]", b"null", b"{}", b'{"watch": null}', b"\xff", b"[" * 1000]
    + [json.dumps({"watch": "x" * 101}).encode()],
)
def test_any_other_message_is_no_watch(message: bytes) -> None:
    assert Watch.decode(message) is None


def test_a_watch_counts_for_some_seconds() -> None:
    watches = Watches()
    assert not watches.watched(0.5)
    assert watches.hear([b"x", Watch().encode()], 10.0) is False
    assert watches.watched(10.0 + VALID_SECONDS - 0.1)
    assert not watches.watched(10.0 + VALID_SECONDS)


def test_a_text_is_new_once_and_ends_unless_it_is_renewed() -> None:
    watches = Watches()
    assert watches.hear([Watch("ann").encode()], 1.0) is True
    assert watches.hear([Watch("ann").encode(), Watch().encode()], 3.0) is False
    assert watches.texts(3.0) == ["ann"]
    watches.hear([Watch().encode()], 8.0)
    assert watches.texts(9.5) == []
    assert watches.watched(9.5)


def test_the_texts_are_few() -> None:
    watches = Watches()
    watches.hear([Watch(str(number)).encode() for number in range(20)], 1.0)
    assert watches.texts(1.0) == [str(number) for number in range(20 - MAX_TEXTS, 20)]


# -- rates


def test_rates_are_what_came_in_between() -> None:
    stats = Stats()
    before = Sample.of(stats, 10.0, 1.0, 0)
    stats.messages, stats.received_bytes, stats.sent_messages = 30, 3000, 600
    stats.lag.observe(0.0007)
    rates = Sample.of(stats, 12.0, 1.5, 10).since(before)
    assert rates == {
        "messages_per_second": 10.0,
        "received_bytes_per_second": 1500.0,
        "sent_per_second": 300.0,
        "cpu": 0.25,
        "lag_ms": 1.0,
        "round_trip_ms": None,
        "loop_ms": None,
    }


def test_late_is_what_one_in_a_hundred_exceeds() -> None:
    histogram = Histogram()
    zero = list(histogram.counts)
    for _ in range(98):
        histogram.observe(0.0001)
    histogram.observe(0.2)
    histogram.observe(0.2)
    assert late_ms(zero, histogram.counts) == 250.0
    assert late_ms(histogram.counts, histogram.counts) is None
    beyond = Histogram()
    beyond.observe(100.0)
    assert late_ms(zero, beyond.counts) == LAG_BOUNDS[-1] * 1000


# -- the last hour


def test_gaps_are_told_by_minute_and_reason_and_for_an_hour() -> None:
    stats = Stats()
    hour = LastHour(stats.gaps)
    start = 1_000 * MINUTE_MS
    hour.tick(start)
    stats.gaps["redis-lost"] += 2
    hour.tick(start + 1000)
    assert hour.minutes(start + 1000) == [(start, {"redis-lost": 2})]
    stats.gaps["slow-client"] += 1
    hour.tick(start + MINUTE_MS)
    stats.gaps["redis-lost"] += 1
    first = (start, {"redis-lost": 2, "slow-client": 1})
    second = (start + MINUTE_MS, {"redis-lost": 1})
    assert hour.minutes(start + MINUTE_MS + 500) == [first, second]
    assert hour.minutes(start + 60 * MINUTE_MS) == [second]
    assert hour.minutes(start + 61 * MINUTE_MS) == []


def test_gaps_before_the_first_tick_count_in_its_minute() -> None:
    stats = Stats()
    hour, start = LastHour(stats.gaps), 1_000 * MINUTE_MS
    stats.gaps["redis-lost"] += 1
    hour.tick(start)
    assert hour.minutes(start + 1000) == [(start, {"redis-lost": 1})]
    hour.tick(start + MINUTE_MS)
    assert hour.minutes(start + MINUTE_MS) == [(start, {"redis-lost": 1})]


# -- the log


def line(text: str, level: int = logging.WARNING, at: float = 1000.0) -> logging.LogRecord:
    record = logging.LogRecord("relay", level, "", 1, text, (), None)
    record.created = at
    return record


def test_the_newest_lines_are_kept_and_repetitions_counted() -> None:
    records = RecentRecords()
    for number in range(KEPT + 10):
        records.handle(line(f"line {number}"))
    for _ in range(3):
        records.handle(line("again"))
    lines = records.lines(1_000_000)
    assert len(lines) == KEPT
    assert lines[0] == {"at": 1_000_000, "level": "WARNING", "text": "again", "times": 3}
    assert lines[-1]["text"] == "line 11"


def test_lines_are_bounded_in_length_and_in_age() -> None:
    records = RecentRecords()
    records.handle(line("x" * 10_000))
    [kept] = records.lines(1_000_000)
    assert len(kept["text"]) == MAX_TEXT
    assert records.lines(1_000_000 + HOUR_MS) == []


def test_a_line_names_the_error_and_nothing_of_what_it_says() -> None:
    records = RecentRecords()
    try:
        raise ValueError("password=secret")
    except ValueError:
        record = logging.LogRecord("relay", logging.ERROR, "", 1, "It failed.", (), sys.exc_info())
    record.created = 1000.0
    records.handle(record)
    [kept] = records.lines(1_000_000)
    assert kept["text"] == "It failed. (ValueError)"


def test_a_line_that_cannot_be_formatted_is_left_out() -> None:
    records = RecentRecords()
    records.handle(logging.LogRecord("relay", logging.ERROR, "", 1, "%d", ("x",), None))
    assert records.lines(0) == []


# -- the numbers of streams


class Clock:
    def __init__(self) -> None:
        self.at = 12.5

    def time(self) -> float:
        return self.at


def test_numbers_grow_and_say_when_a_stream_was_opened() -> None:
    clock: Any = Clock()
    numbers = Numbers(clock)
    found = [numbers.next() for _ in range(3)]
    assert found == sorted(set(found))
    assert opened_at(found[0]) == 12.5
    clock.at = 14.0
    assert opened_at(numbers.next()) == 14.0


def test_two_processes_have_no_number_in_common() -> None:
    clock: Any = Clock()
    assert len({Numbers(clock).next() for _ in range(50)}) == 50


# -- the rest


async def test_slices_hold_everything_in_order() -> None:
    items = list(range(2 * SLICE + 1))
    sizes: list[int] = []
    seen: list[int] = []
    async for some in in_slices(items):
        sizes.append(len(some))
        seen += some
    assert (sizes, seen) == ([SLICE, SLICE, 1], items)


def test_the_address_of_a_trusted_proxy_is_nobodys() -> None:
    trusted = parse_networks(["10.0.0.0/8"])
    assert direct_address("10.1.2.3", trusted) == ""
    assert direct_address("192.0.2.1", trusted) == "192.0.2.1"
    assert direct_address("2001:db8::1", trusted) == "2001:db8::/64"


@pytest.mark.parametrize("prefix", ["relay", "a.b:c"])
def test_the_operators_channel_is_no_entry_of_the_catalogue(prefix: str) -> None:
    catalogue, target = Catalogue([], prefix), operator_target(prefix)
    assert catalogue.operators == target
    assert catalogue.find(target.name) is None
    assert catalogue.specs == []
    assert target.spec.event_bytes > REPORT_BYTES
    assert not target.spec.history
