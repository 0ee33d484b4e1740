"""The lines between a parent and a worker."""

from typing import Any, cast

import pytest

from relay.metrics.host import View
from relay.workers import worker
from relay.workers.words import Answer, Orders, Word, line_of, order_of, report_of


@pytest.mark.parametrize("order", [*View, Word.DRAIN, Word.CLOSE])
def test_an_order_is_read_as_it_was_written(order: Word | View) -> None:
    line = line_of(order)
    assert line.count(b"\n") == 1
    read = order_of(line)
    assert read == order
    assert type(read) is type(order)


def test_a_report_is_a_word_or_an_answer() -> None:
    assert report_of(line_of(Word.BEAT)) is Word.BEAT
    answer = Answer(View.DETAILS, {"relay_gaps_total": {"expired": 1}, "text": "a\nb"})
    assert answer.line().count(b"\n") == 1
    assert report_of(answer.line()) == answer
    for line in (b'"no word"\n', b'{"no view": 1}\n', b"{}\n", b"no JSON\n"):
        for read in (report_of, order_of):
            with pytest.raises(ValueError, match=r"not a valid|not enough values|Expecting value"):
                read(line)


def test_orders_are_read_as_they_were_written() -> None:
    orders = Orders("redis://:password@127.0.0.1/0")
    assert Orders.of(orders.line()) == orders


async def test_a_worker_that_cannot_read_its_metrics_says_so_and_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    no_hub = cast(Any, object())
    assert await worker._answer(View.METRICS, no_hub) == Answer(View.METRICS, None)
    assert [r.getMessage() for r in caplog.records] == [
        "The metrics of a worker cannot be read; this is a bug."
    ]
