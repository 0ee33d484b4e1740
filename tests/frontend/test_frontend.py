"""The files of the dashboard: what is vendored, what is loaded, and the modules one by one."""

import hashlib
import json
import re
from collections.abc import Iterator
from itertools import chain
from os.path import normpath
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from relay.wire.notices import GapReason
from tests.support.browser import Shared
from tests.support.servers import ROOT

FRONTEND = ROOT / "frontend"
PAGES = sorted((ROOT / "relay/templates/relay").glob("*.html"))
PARTS = sorted((ROOT / "relay/templates/relay/parts").glob("*.html"))
VENDORED = FRONTEND / "vendor" / "uplot"


def test_vendored_files_are_what_vendor_json_says() -> None:
    vendor = json.loads((VENDORED / "vendor.json").read_text())
    files = {path.name: path for path in VENDORED.iterdir() if path.name != "vendor.json"}
    sums = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    assert sums == vendor["sha256"]
    assert f"(v{vendor['version']})" in files["uPlot.esm.js"].read_text()[:500]
    assert files["LICENSE"].read_text().startswith(f"The {vendor['licence']} License")


def imports(path: Path) -> list[Path]:
    names = re.findall(r'^import [^;]*?"(\.\.?/[^"]+)";$', path.read_text(), re.MULTILINE)
    return [Path(normpath(path.parent / name)) for name in names]


def test_no_chain_of_imports_is_too_long_for_the_storage_of_a_site() -> None:
    """Django's storage that puts hashes into imports gives up after five passes over all files."""

    def height(path: Path) -> int:
        return max((1 + height(found) for found in imports(path)), default=0)

    assert {
        path.name: height(path)
        for path in (*FRONTEND.glob("*.js"), *FRONTEND.glob("ops/*.js"))
        if height(path) > 4
    } == {}


def test_every_module_is_loaded_and_nothing_else_is_there() -> None:
    pages = "".join(page.read_text() for page in PAGES)
    linked = {FRONTEND / name for name in re.findall(r"{% static 'relay/([^'#]+)' %}", pages)}
    loaded = set(linked)
    todo = [path for path in linked if path.suffix == ".js"]
    while todo:
        path = todo.pop()
        fresh = set(imports(path)) - loaded
        loaded |= fresh
        todo += fresh
    package = FRONTEND / "client"
    there = {path for path in FRONTEND.rglob("*") if path.is_file() and package not in path.parents}
    beside = {VENDORED / "LICENSE", VENDORED / "vendor.json"}
    assert there == loaded | beside


def test_no_page_has_inline_script_or_style() -> None:
    assert len(PAGES) == 3
    for path in (*PAGES, *PARTS):
        page = path.read_text()
        assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", page) == []
        assert re.findall(r"<script(?![^>]* src=)", page) == []
    own = FRONTEND.glob("*.js"), FRONTEND.glob("ops/*.js"), FRONTEND.glob("client/src/*.js")
    for path in chain(*own):
        assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|eval\(", path.read_text()) == []


@pytest.fixture(scope="module")
def blank(browser: Browser, shared: Shared) -> Iterator[Page]:
    """A page of the hub's origin with nothing of the dashboard running."""
    page = browser.new_page()
    page.goto(f"{shared.hub.url}/health/")
    yield page
    page.close()


def run(page: Page, module: str, body: str, argument: Any = None) -> Any:
    """The value of `body`, a function of `m` (the module) and `x` (the argument)."""
    script = f"async (x) => {{ const m = await import('/static/relay/{module}.js'); {body} }}"
    return page.evaluate(script, argument)


pytestmark = pytest.mark.browser


def test_the_ring_is_bounded_by_records_and_by_characters(blank: Page) -> None:
    body = """
        const ring = new m.Ring(3, 10);
        const seen = [];
        for (const text of x) {
            ring.push({ text });
            seen.push([ring.since(0).map((r) => r.text).join("|"), ring.chars, ring.firstSeq, ring.lastSeq]);
        }
        return seen;
    """
    assert run(blank, "ring", body, ["a", "bb", "ccc", "dddd", "eeeee", "f" * 20, "g"]) == [
        ["a", 1, 1, 1],
        ["a|bb", 3, 1, 2],
        ["a|bb|ccc", 6, 1, 3],
        ["bb|ccc|dddd", 9, 2, 4],
        ["dddd|eeeee", 9, 4, 5],
        ["f" * 20, 20, 6, 6],
        ["g", 1, 7, 7],
    ]


def test_the_ring_knows_what_came_after(blank: Page) -> None:
    body = """
        const ring = new m.Ring(3);
        const seqs = () => [0, 1, 2, 3, 4, 5].map((seq) => ring.since(seq).map((r) => r.seq));
        for (let n = 0; n < 5; n += 1) ring.push({ text: "" });
        const before = seqs();
        ring.clear();
        ring.push({ text: "" });
        return [before, seqs(), ring.length];
    """
    before, after, length = run(blank, "ring", body)
    assert before == [[3, 4, 5], [3, 4, 5], [3, 4, 5], [4, 5], [5], []]
    assert after == [[6]] * 6
    assert length == 1


def test_the_rate_counts_whole_seconds_of_the_last_minute(blank: Page) -> None:
    body = """
        const rate = new m.Rate(3);
        for (const ms of [1000, 1999, 2000, 4000, 4500, 4999, 5000]) rate.count(ms);
        return [rate.perSecond(5900), rate.series(5900), rate.perSecond(60_000), rate.series(60_000)];
    """
    assert run(blank, "rate", body) == [
        3,
        [[2, 3, 4], [1, 0, 3]],
        0,
        [[57, 58, 59], [0, 0, 0]],
    ]


WALK = """
    const json = m.JsonText.of(x);
    const walk = (at) => json.isContainer(at)
        ? [json.kind(at), ...json.members(at).map(({ key, at }) => [key, walk(at)])]
        : [json.kind(at), json.token(at)];
    return json && walk(0);
"""


@pytest.mark.parametrize(
    ("text", "walked"),
    [
        ("[]", ["array"]),
        (
            '{"a":1.50,"a":[],"b":{}}',
            ["object", ['"a"', ["number", "1.50"]], ['"a"', ["array"]], ['"b"', ["object"]]],
        ),
        (
            '[1,\t[true,"]"], {"k": null}]',
            [
                "array",
                [None, ["number", "1"]],
                [None, ["array", [None, ["literal", "true"]], [None, ["string", '"]"']]]],
                [None, ["object", ['"k"', ["literal", "null"]]]],
            ],
        ),
        ("[12345678901234567890.0e+1]", ["array", [None, ["number", "12345678901234567890.0e+1"]]]),
        ('{"open":', None),
        ("42", None),
        ('"text"', None),
        ("", None),
    ],
)
def test_json_is_walked_through_in_its_text(blank: Page, text: str, walked: list[Any]) -> None:
    assert run(blank, "json", WALK, text) == walked


def test_deep_json_is_walked_through_too(blank: Page) -> None:
    body = "const json = m.JsonText.of(x); return [json.size, [...json.members(0)]]"
    assert run(blank, "json", body, "[" * 5000 + "]" * 5000) == [10_000, [{"key": None, "at": 1}]]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (
            '{"a": ["b",-1.50,null]}',
            [
                ["punctuation", "{"],
                ["key", '"a"'],
                ["punctuation", ": ["],
                ["string", '"b"'],
                ["punctuation", ","],
                ["number", "-1.50"],
                ["punctuation", ","],
                ["literal", "null"],
                ["punctuation", "]}"],
            ],
        ),
        ('["it \\" goes', [["punctuation", "["], ["string", '"it \\" goes']]),
        ("{not JSON}", [["punctuation", "{not JSON}"]]),
    ],
)
def test_json_is_coloured_by_kind_wherever_it_ends(
    blank: Page, text: str, pieces: list[list[str]]
) -> None:
    assert run(blank, "json", "return m.coloured(x)", text) == pieces


def test_characters_that_show_nothing_are_named(blank: Page) -> None:
    text = "a\u202e\u2066b\0\u200bc\u200d\U000e0041\ufeff"
    assert run(blank, "text", "return m.runsOf(x).map((r) => [r.kind, r.text])", text) == [
        ["plain", "a"],
        ["hidden", "U+202E U+2066"],
        ["plain", "b"],
        ["hidden", "␀ U+200B"],
        ["plain", "c\u200d"],
        ["hidden", "U+E0041 U+FEFF"],
    ]


def test_a_cut_keeps_surrogate_pairs_whole(blank: Page) -> None:
    assert run(blank, "text", "return [1, 2, 3].map((n) => m.cut(x, n))", "a😀b") == [
        "a",
        "a",
        "a😀",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("short", "short"),
        ("", "empty message"),
        ("x" * 400, "x" * 400),
        ("x" * 401, "x" * 400 + "…"),
        (" one\n\ttwo\r\n", "one two"),
        ('{\n  "a": 1\n}', '{ "a": 1 }'),
    ],
)
def test_a_payload_begins_on_one_line(blank: Page, text: str, line: str) -> None:
    assert run(blank, "line", "return m.lineOf(x).map(([, text]) => text).join('')", text) == line


AT = 1_795_000_000_000


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        (f'{{"ts":{AT - 12}}}', {"key": "ts", "ms": 12}),
        ('{"a":1,"time":1794999998.5}', {"key": "time", "ms": 1500}),
        (f'{{"timestamp":"{AT - 7}000"}}', {"key": "timestamp", "ms": 7}),
        ('{"ts":"2026-11-18T11:46:39.900Z"}', {"key": "ts", "ms": -2_399_900}),
        ('{"ts":17}', None),
        ('{"ts":"2020-01-01T00:00:00Z"}', None),
        ('{"ts":[1]}', None),
        ('{"nested":{"ts":1795000000000}}', None),
        ("[1795000000000]", None),
    ],
)
def test_a_message_that_holds_its_time_has_a_delay(
    blank: Page, text: str, delay: dict[str, Any] | None
) -> None:
    body = """
        const { JsonText } = await import("/static/relay/json.js");
        return m.delayOf(JsonText.of(x.text), x.at);
    """
    found = run(blank, "delay", body, {"text": text, "at": AT})
    assert found == (delay and {**delay, "ms": pytest.approx(delay["ms"], abs=1)})


@pytest.mark.parametrize(
    ("name", "data", "kind", "text"),
    [
        ("message", "hi", "message", "hi"),
        (
            "hub.gap",
            '{"channel":"orders","missed":1,"reason":"slow-client"}',
            "gap",
            "1 message on orders is missing: this page read more slowly than messages came in.",
        ),
        (
            "hub.gap",
            '{"channel":"orders","missed":null,"reason":"moon-phase"}',
            "gap",
            "Messages on orders may be missing, nobody knows how many: the hub says “moon-phase”.",
        ),
        (
            "hub.gap",
            '{"missed":2000}',
            "gap",
            "2,000 messages are missing: the hub gave no reason.",
        ),
        (
            "hub.gap",
            "not JSON",
            "gap",
            "Messages may be missing, nobody knows how many: the hub gave no reason.",
        ),
        (
            "hub.oversize",
            '{"channel":"orders","id":null,"bytes":7340040,"max_bytes":2097152}',
            "tooLarge",
            "A message on orders was left out: it has 7 MB, and the limit is 2 MB.",
        ),
        (
            "hub.oversize",
            "[]",
            "tooLarge",
            "A message was left out: it is over the size limit.",
        ),
    ],
)
def test_an_event_becomes_a_line(blank: Page, name: str, data: str, kind: str, text: str) -> None:
    event = {"type": name, "data": data, "id": "1-7", "channel": "orders"}
    record = run(blank, "record", "return m.recordOf(x, 5)", event)
    record.pop("missed", None)
    assert record == {"kind": kind, "text": text, "id": "1-7", "at": 5, "channel": "orders"}


@pytest.mark.parametrize("reason", list(GapReason))
def test_every_reason_for_a_gap_is_explained(blank: Page, reason: GapReason) -> None:
    event = {"type": "hub.gap", "data": json.dumps({"missed": 2, "reason": reason}), "id": ""}
    text = run(blank, "record", "return m.recordOf(x).text", event)
    assert text.startswith("2 messages are missing: ")
    assert reason not in text


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ("", ["Order (1)", "order 2", "gap"]),
        ("ORDER", ["Order (1)", "order 2", "gap"]),
        ("(1)", ["Order (1)", "gap"]),
        ("9-2", ["order 2", "gap"]),
        ("B", ["order 2", "gap"]),
        (".*", ["gap"]),
    ],
)
def test_a_filter_looks_into_text_and_id(blank: Page, query: str, matches: list[str]) -> None:
    body = """
        const records = [
            ["message", "Order (1)", "9-1", "a"], ["message", "order 2", "9-2", "b"], ["gap", "gap", ""],
        ];
        const all = records.map(([kind, text, id, channel]) => ({ kind, text, id, channel }));
        return all.filter(m.filterFor(x)).map((r) => r.text);
    """
    assert run(blank, "filter", body, query) == matches


def test_waits_double_up_to_half_a_minute_and_are_spread(blank: Page) -> None:
    body = "return [0, 0.5, 1].map((r) => [0, 1, 4, 50].map((n) => m.backoffMs(n, () => r)))"
    assert run(blank, "stream", body) == [
        [1000, 2000, 15000, 15000],
        [1500, 3000, 22500, 22500],
        [2000, 4000, 30000, 30000],
    ]


def test_numbers_are_written_for_people(blank: Page) -> None:
    body = """return [m.formatBytes(0), m.formatBytes(1536), m.formatBytes(1048576), m.formatCount(1234567),
        m.plural(1, "gap"), m.plural(2000, "gap"), m.formatDuration(400), m.formatDuration(3400),
        m.formatDuration(119_000), m.formatDuration(600_000)]"""
    assert run(blank, "format", body) == [
        "0 B",
        "1.5 KB",
        "1 MB",
        "1,234,567",
        "1 gap",
        "2,000 gaps",
        "less than a second",
        "3 seconds",
        "119 seconds",
        "10 minutes",
    ]
