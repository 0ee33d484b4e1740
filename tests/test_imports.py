"""Imports in relay/ run one way, and each outside library stays where it belongs."""

import ast
from pathlib import Path

import pytest

RELAY = Path(__file__).resolve().parent.parent / "relay"
MODULES = sorted(path.stem for path in RELAY.glob("*.py") if path.stem != "__init__")

ORDER = [
    "position",
    "events",
    "frames",
    "vector",
    "envelope",
    "chain",
    "ring",
    "stats",
    "writers",
    "tasks",
    "feed",
    "catalogue",
    "start",
    "fanout",
    "history",
    "trouble",
    "journal",
    "bringing",
    "pages",
    "origin",
    "replay",
    "arrivals",
    "composite",
    "latest",
    "multiple",
    "intake",
    "rejoin",
    "keys",
    "commands",
    "log",
    "subscription",
    "addresses",
    "origins",
    "conf",
    "channel",
    "group",
    "listener",
    "control",
    "presence",
    "rates",
    "idempotency",
    "publishing",
    "hub",
    "lifespan",
    "daphne_writer",
    "signals",
    "problem",
    "tokens",
    "access",
    "gate",
    "consumers",
    "token_views",
    "publish_views",
    "presence_views",
    "models",
    "views",
    "routing",
    "checks",
    "apps",
]
"""From the core outwards: a module imports only from modules before it."""

HOME = {
    "redis": {"subscription", "commands", "publishing"},
    "hiredis": {"subscription"},
    "twisted": {"daphne_writer", "lifespan"},
    "daphne": set(),
    "channels": {"consumers", "control"},
    "django": {
        "conf",
        "checks",
        "apps",
        "signals",
        "access",
        "gate",
        "views",
        "token_views",
        "publishing",
        "publish_views",
        "presence_views",
        "models",
        "routing",
    },
    "jwt": {"tokens"},
}


def imported(module: str) -> set[str]:
    tree = ast.parse((RELAY / f"{module}.py").read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} uses a relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def test_every_module_has_its_place() -> None:
    assert sorted(ORDER) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_modules_before_it(module: str) -> None:
    before = set(ORDER[: ORDER.index(module)])
    ours = {name.split(".")[1] for name in imported(module) if name.startswith("relay.")}
    assert ours <= before


@pytest.mark.parametrize("module", MODULES)
def test_an_outside_library_stays_where_it_belongs(module: str) -> None:
    for name in imported(module):
        library = name.split(".")[0]
        assert module in HOME.get(library, {module}), f"{module} imports {name}"
