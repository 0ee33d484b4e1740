"""The documentation says what the code does: names, links, snippets and tables are held against it."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser
from pytest_django import Settings

from relay import conf
from relay.control.process_list import Listed
from relay.control.report import Report
from relay.http.admission import METHODS
from relay.http.answer import STREAM_HEADERS
from relay.management.overview import Overview
from relay.metrics import table
from relay.stats import Stats
from relay.wire.notices import Gap, GapReason, Oversize
from relay.wire.position import Position
from tests.project.test_imports import PACKAGES
from tests.support.servers import ROOT, HubProcess, RedisServer
from tests.support.waiting import wait_until

PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
SNIPPETS = [
    (page.name, language, text)
    for page in PAGES
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(), re.M | re.S)
]


def doc(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def section(text: str, heading: str) -> str:
    """From a heading to the next of its level or above."""
    level = heading.split()[0]
    following = re.split(rf"^#{{1,{len(level)}}} ", text.split(f"{heading}\n")[1], flags=re.M)
    return following[0]


def first_cells(text: str) -> list[str]:
    """What stands as code in the first column of the tables in a text."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.M)


def snippets(language: str) -> list[str]:
    return [text for _, kind, text in SNIPPETS if kind == language]


def first_line(text: str) -> str:
    return text.partition("\n")[0]


def snippet(language: str, word: str) -> str:
    """The one snippet of the README in a language that holds a word."""
    [found] = [
        t for name, kind, t in SNIPPETS if (name, kind) == ("README.md", language) and word in t
    ]
    return str(found)


# -- what is there


def anchors(page: Path) -> set[str]:
    """The ids that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_image_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    for name in re.findall(
        r"`((?:relay|hub|tests|frontend|bench|scripts|docs)/[^`\s]*)`", page.read_text()
    ):
        assert (ROOT / name.partition("::")[0]).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_is_named_exists(page: Path) -> None:
    for name, function in re.findall(r"`(tests/[^`:]+\.py)::([^`]+)`", page.read_text()):
        pattern = rf"^(async )?def {re.escape(function)}\("
        assert re.search(pattern, (ROOT / name).read_text(), re.M), f"{name}::{function}"


def test_every_case_has_a_test_or_a_page() -> None:
    """A page is named with a heading that it has."""
    rows = re.findall(r"^\| .+ \| .+ \| .+ \| (.+) \|$", doc("cases.md"), re.M)
    assert len(rows) > 150
    for row in rows:
        assert "`tests/" in row or "`docs/" in row or row in {"test", "---"}, row
        for name, heading in re.findall(r'`docs/([^`]+)`, [`"]([^`"]+)[`"]', row):
            assert re.search(rf"^#+ `?{re.escape(heading)}`?$", doc(name), re.M), (name, heading)


def test_every_package_has_its_row_in_the_architecture() -> None:
    text = doc("architecture.md")
    for package in PACKAGES:
        assert f"| `relay/{package}/` |" in text, package


def test_every_test_that_threats_names_exists() -> None:
    named = re.findall(r"`(tests/[^`]+\.py)`", doc("threats.md"))
    assert len(named) > 20
    for name in named:
        assert (ROOT / name).exists(), name


def test_every_target_of_make_that_is_named_exists() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    readme = (ROOT / "README.md").read_text()
    named = set(re.findall(r"(?:^    |`)make (\w+)", readme, re.M))
    assert {"run", "test"} <= named <= targets


def test_the_changelog_has_what_is_not_released_or_a_version() -> None:
    assert re.search(r"^## (Unreleased|\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.M)


# -- settings


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    for name in re.findall(r"\bRELAY_[A-Z][A-Z_]*[A-Z]\b", page.read_text()):
        assert name in conf.NAMES, name


def test_every_setting_has_its_bounds_and_its_check_in_the_documentation(
    settings: Settings,
) -> None:
    text = doc("settings.md")
    for name in conf.NAMES:
        setattr(settings, name, None)
    found = list(conf.find_invalid())
    assert len(found) == len(conf.NAMES)
    for name, invalid in zip(conf.NAMES, found, strict=True):
        said = section(text, f"### `{name}`")
        bounds = invalid.hint.removeprefix("Use ").removesuffix(".")
        assert bounds in said.replace("`", ""), name
        assert f"Check: `{invalid.check}`." in said, name


def test_every_other_check_is_in_the_table_of_checks() -> None:
    source = (ROOT / "relay/checks.py").read_text()
    assert sorted(re.findall(r'id="(relay\.\w+)"', source)) == sorted(
        first_cells(section(doc("settings.md"), "## Checks"))
    )


# -- operations


def test_every_field_of_health_is_explained_and_no_other() -> None:
    said = first_cells(section(doc("operations.md"), "## Health"))
    counters = [field.name for field in fields(Stats)]
    assert sorted(said) == sorted(["redis", "database", "tasks", *counters])


def test_every_name_in_the_json_of_the_status_is_explained_and_no_other() -> None:
    process = Listed("0a1b", Report(host="web-1"), 0)
    server = dict.fromkeys(("address", "version", "role", "mode"), "")
    answer = Overview("relay", [process], 0, "server", [server]).as_json()
    parts = [
        answer,
        answer["total"],
        *answer["hosts"],
        *answer["processes"],
        answer["redis"],
        server,
    ]
    text = section(doc("operations.md"), "## What runs: relay status")
    in_tables = re.findall("`([^`]+)`", " ".join(re.findall(r"^\| (.+?) \|", text, re.M)))
    names = {name for part in parts for name in part}
    assert set(in_tables) == names - {"prefix"}
    assert "`prefix`" in text


def test_every_metric_is_explained_with_its_type_and_label_and_no_other() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (counter|gauge|histogram) \| (?:`(\w+)`)? ?\| (.*) \|$",
        section(doc("operations.md"), "## Metrics"),
        re.M,
    )
    metrics = [*table.HOST, *table.WORKER]
    assert [(name, kind, label) for name, kind, label, _ in rows] == [
        (table.BUILD, "gauge", ""),
        *((metric.name, metric.kind, metric.label) for metric in metrics),
    ]
    for metric, (_, _, _, text) in zip(metrics, rows[1:], strict=True):
        if metric.label != "reason" or metric.values == table.REFUSALS:
            assert all(f"`{value}`" in text for value in metric.values), metric.name


def logged() -> Iterator[tuple[str, str, str]]:
    """(place, level, text) of every line that a hub writes into its log."""
    for path in [*(ROOT / "relay").rglob("*.py"), *(ROOT / "hub").rglob("*.py")]:
        if path.parent.name == "client":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name, place = ast.unparse(node.func), f"{path.name}:{node.lineno}"
            if name == "Outage":
                for level, text in zip(("WARNING", "INFO"), node.args, strict=True):
                    yield place, level, ast.literal_eval(text)
            elif name.startswith("logger.") and path.name != "outage.py":
                level = name.removeprefix("logger.").upper().replace("EXCEPTION", "ERROR")
                yield place, level, ast.literal_eval(node.args[0])


def test_every_line_of_the_log_is_explained() -> None:
    said = re.findall(
        r"^\| (\w+) \| `([^`]+)` \|", section(doc("operations.md"), "## The log"), re.M
    )
    written = list(logged())
    assert len(written) == len(said)
    for place, level, text in written:
        words = [re.escape(part) for part in re.split(r"%(?:s|\.1f)", text)]
        pattern = "[A-Z]+".join(words)
        assert [s for lvl, s in said if lvl == level and re.fullmatch(pattern, s)], place


# -- protocol


def test_every_reason_of_a_gap_is_explained_and_no_other() -> None:
    table = doc("protocol.md").split("| `reason` | What happened |")[1].split("\n\n")[0]
    assert sorted(first_cells(table)) == sorted(GapReason)


@pytest.mark.parametrize(
    "event",
    [
        Gap("c", Position(1, 2), Position(1, 5), 3, GapReason.EXPIRED),
        Oversize("c", Position(1, 2), 3, 2),
    ],
    ids=lambda event: event.name,
)
def test_the_events_of_the_hub_have_the_fields_that_are_shown(event: Gap | Oversize) -> None:
    pattern = rf"event: {re.escape(event.name)}\n *data: (\{{.*\}})"
    [shown] = re.findall(pattern, doc("protocol.md"))
    assert list(json.loads(shown)) == list(event.as_json())


def test_the_headers_of_a_stream_are_those_that_are_shown() -> None:
    text = section(doc("protocol.md"), "## A stream")
    for name, value in STREAM_HEADERS:
        assert f"    {name.decode()}: {value.decode()}\n" in text
    assert f"`Allow: {METHODS.decode()}`" in doc("protocol.md")


def statuses() -> set[str]:
    """Every status that `/stream/` answers with; starting a stream is 200."""
    found = {"200"}
    modules = ("http/consumer", "http/admission", "http/answer", "http/query")
    for module in (*modules, "access/bearer", "access/identity", "access/rules"):
        for node in ast.walk(ast.parse((ROOT / f"relay/{module}.py").read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"Answer", "Problem"}:
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    found.add(str(first.value))
    return found


def test_every_status_is_in_the_table_and_no_other() -> None:
    assert set(first_cells(section(doc("protocol.md"), "## Answers"))) == statuses()


# -- snippets


@pytest.mark.parametrize("text", snippets("python"), ids=first_line)
def test_the_python_compiles(text: str) -> None:
    compile(text, "snippet", "exec")


@pytest.mark.parametrize("text", snippets("sh"), ids=first_line)
def test_the_shell_commands_parse(text: str) -> None:
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


@pytest.mark.browser
@pytest.mark.parametrize("text", snippets("js"), ids=first_line)
def test_the_javascript_parses(browser: Browser, text: str) -> None:
    page = browser.new_page()
    body = re.sub(r"^import .*$|^export (default )?", "", text, flags=re.M)
    page.evaluate("(text) => { new (async () => {}).constructor(text); }", body)
    page.close()


def publish_by_the_readme(redis_server: RedisServer) -> None:
    code = snippet("python", "redis.Redis(")
    assert "port=6379" in code
    ours = code.replace("port=6379", f"port={redis_server.port}")
    subprocess.run([sys.executable, "-c", ours], check=True, timeout=30)


def test_the_python_of_the_readme_publishes_and_subscribes(
    hub: HubProcess, redis_server: RedisServer
) -> None:
    code = snippet("python", "relay.client")
    assert "http://127.0.0.1:8000/" in code
    ours = code.replace("http://127.0.0.1:8000/", f"{hub.url}/")
    command = [sys.executable, "-u", "-c", ours]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as client:
        try:
            hub.wait_for_streams(1)
            publish_by_the_readme(redis_server)
            assert client.stdout is not None
            shown = r"Message\(channel='', id='\d+-1', data='Message #1', event='message'\)\n"
            assert re.fullmatch(shown, client.stdout.readline())
        finally:
            client.kill()


@pytest.mark.browser
def test_the_javascript_of_the_readme_shows_messages_and_gaps(
    browser: Browser, hub: HubProcess, redis_server: RedisServer
) -> None:
    page = browser.new_page()
    said: list[str] = []
    # Not its errors: Chromium asks for a favicon.
    page.on("console", lambda m: said.extend([m.text] if m.type in {"log", "warning"} else []))
    page.goto(f"{hub.url}/livez")  # a page of the hub, and nothing on it
    page.add_script_tag(type="module", content=snippet("js", "onGap"))

    def shows(text: str) -> None:
        def last_is_it() -> object:
            page.wait_for_timeout(20)  # lets Playwright hand over what the console said
            return said and re.fullmatch(text, said[-1])

        wait_until(last_is_it, text)

    hub.wait_for_streams(1)
    publish_by_the_readme(redis_server)
    shows(r"\d+-1 Message #1")
    with redis_server.client() as client:
        client.client_kill_filter(_type="pubsub")
    shows(r"Missing: an unknown number of messages \(redis-lost\)")
    assert len(said) == 2
    page.close()
