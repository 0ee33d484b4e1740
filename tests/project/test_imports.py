"""Imports in relay/ run one way, package by package, and each outside library has its home."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

RELAY = Path(__file__).resolve().parents[2] / "relay"
MODULES = sorted(RELAY.rglob("*.py"))

PACKAGES = [
    "wire",
    "broker",
    "conf",
    "feed",
    "history",
    "replay",
    "source",
    "access",
    "control",
    "publishing",
    "sockets",
    "engine",
    "http",
    "server",
    "metrics",
    "operator",
    "workers",
    "client",
    "testing",
]
"""A module imports from its own package and from those before it."""

BESIDE = {"clock", "flag", "stats", "tasks", "types", "version"}
"""Modules at the top that every package may import; the other ones there may import everything."""

STRANGERS = [
    ("replay", "source"),
    *(
        (p, q)
        for p in ("access", "control", "publishing")
        for q in ("feed", "history", "replay", "source")
    ),
]
"""Packages that do not know each other, although the order would let them."""

HOME = {
    "redis": {"broker", "publishing", "management", "server"},
    "hiredis": {"broker"},
    "twisted": {"engine", "server"},
    "daphne": {"server"},
    "channels": {"http", "control"},
    "jwt": {"access"},
    "prometheus_client": {"metrics"},
    "httpx": {"client"},
    "django": {
        "conf",
        "access",
        "control",
        "publishing",
        "http",
        "testing",
        "management",
        "migrations",
        "",
    },
}
"""The packages that use an outside library; the empty name stands for the modules at the top."""


def name_of(path: Path) -> str:
    parts = ("relay", *path.relative_to(RELAY).with_suffix("").parts)
    return ".".join(part for part in parts if part != "__init__")


def package_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 2 or parts[-1] in PACKAGES else ""


@cache
def imported(path: Path) -> frozenset[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def ours(path: Path) -> Iterator[str]:
    """The modules of relay that a module imports."""
    modules = {name_of(module) for module in MODULES}
    for name in imported(path):
        if name.split(".")[0] == "relay":
            yield name if name in modules else name.rpartition(".")[0]


def test_every_package_has_its_place() -> None:
    folders = {path.parent.name for path in RELAY.glob("*/__init__.py")}
    assert folders == {*PACKAGES, "management", "migrations"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_from_its_package_and_those_before_it(path: Path) -> None:
    package = package_of(name_of(path))
    if package not in PACKAGES:
        return
    before = {*PACKAGES[: PACKAGES.index(package) + 1]}
    for name in ours(path):
        assert package_of(name) in before or name.removeprefix("relay.") in BESIDE, name
        assert (package, package_of(name)) not in STRANGERS, name


def test_no_module_imports_itself_by_way_of_others() -> None:
    arrows = {name_of(path): set(ours(path)) for path in MODULES}
    left = dict(arrows)
    while free := [module for module, names in left.items() if not names & left.keys()]:
        for module in free:
            del left[module]
    assert sorted(left) == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_an_outside_library_stays_where_it_belongs(path: Path) -> None:
    package = package_of(name_of(path))
    for name in imported(path):
        homes = HOME.get(name.split(".")[0], {package})
        assert package in homes, f"{name_of(path)} imports {name}"
