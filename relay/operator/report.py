"""The report of a process on the operator's channel, as bytes with a bound."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from relay.conf.catalogue import REPORT_BYTES

CUT = ("channels", "streams", "found", "errors")
"""The lists that are cut when a report is too long. `found` is an object of lists."""


def encode(report: Mapping[str, Any]) -> bytes:
    """Returns the report as JSON of at most REPORT_BYTES. `cut` says whether a list is not whole."""
    report = dict(report, cut=False)
    while len(encoded := _dumps(report)) > REPORT_BYTES:
        name = max(CUT, key=lambda each: len(_dumps(report[each])))
        report |= {name: _halved(report[name]), "cut": True}
    return encoded


def _halved(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _halved(rows) for name, rows in value.items() if rows}
    rows: Sequence[Any] = value
    return rows[: len(rows) // 2]


def _dumps(value: Any) -> bytes:
    """ASCII in one line, so that it is one line of an event as well."""
    return json.dumps(value, separators=(",", ":")).encode()
