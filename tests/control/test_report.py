"""The report of a process: what one version writes another reads, and nothing that it cannot read matters."""

import json
from dataclasses import replace
from typing import Any

import pytest

from relay.control.report import MAX_MS, MAX_NUMBER, Report, State

WHOLE = Report("web-1", 4711, "0.2.0", State.LIVE, 1_790_000_000_123, 7, 3, 12_345, 41.5, 2)


def test_what_is_written_is_read() -> None:
    assert Report.decode(WHOLE.encode().encode()) == WHOLE
    assert Report.decode(Report().encode().encode()) == Report()
    assert len(WHOLE.encode()) < 300


def test_another_version_may_report_more_and_less() -> None:
    values = json.loads(WHOLE.encode())
    del values["gaps"]
    values["workers"] = {"more": [1]}
    assert Report.decode(json.dumps(values).encode()) == replace(WHOLE, gaps=None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", ""),
        ("host", "x" * 256),
        ("host", 7),
        ("pid", -1),
        ("pid", True),
        ("pid", 1.0),
        ("version", ["0.2.0"]),
        ("state", "asleep"),
        ("state", None),
        ("state", {}),
        ("started_ms", MAX_MS + 1),
        ("started_ms", "now"),
        ("streams", MAX_NUMBER),
        ("messages_per_second", -0.5),
        ("messages_per_second", float("nan")),
        ("messages_per_second", float("inf")),
        ("messages_per_second", False),
        ("gaps", {}),
    ],
)
def test_a_value_that_cannot_be_read_is_unknown_and_the_others_are_known(
    name: str, value: Any
) -> None:
    values = json.loads(WHOLE.encode()) | {name: value}
    unknown: dict[str, Any] = {name: None}
    assert Report.decode(json.dumps(values).encode()) == replace(WHOLE, **unknown)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"x",
        b"7",
        b"null",
        b"[]",
        b'"live"',
        b"\xff\xfe",
        b"[" * 4000,
        b'{"pid":' + b"9" * 4000,
    ],
    ids=lambda text: text[:10],
)
def test_what_is_no_object_is_unknown(text: bytes) -> None:
    assert Report.decode(text) == Report()
