"""Nothing in relay/ and hub/ grows past what one can read at once."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import ROOT

MODULE_LINES = 250
CLASS_LINES = 200
FUNCTION_LINES = 40
CONSTRUCTOR_ARGUMENTS = 5
MODULES = sorted([*(ROOT / "relay").rglob("*.py"), *(ROOT / "hub").rglob("*.py")])

Function = ast.FunctionDef | ast.AsyncFunctionDef


def too_large(path: Path) -> Iterator[str]:
    text = path.read_text()
    if text.count("\n") > MODULE_LINES:
        yield f"the module has {text.count(chr(10))} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and lines(node) > CLASS_LINES:
            yield f"{node.name} has {lines(node)} lines"
        if isinstance(node, Function) and lines(node) > FUNCTION_LINES:
            yield f"{node.name} has {lines(node)} lines"
        if isinstance(node, Function) and node.name == "__init__":
            arguments = [*node.args.posonlyargs, *node.args.args[1:], *node.args.kwonlyargs]
            if len(arguments) > CONSTRUCTOR_ARGUMENTS:
                yield f"__init__ in line {node.lineno} has {len(arguments)} arguments"


def lines(node: ast.ClassDef | Function) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_its_classes_and_functions_are_small(path: Path) -> None:
    assert list(too_large(path)) == []


RECORDS = {"self", "self._stats", "subscriber", "session", "response"}
"""Whose attributes may be assigned: an object's own, and records that are plain values."""

FOREIGN = {
    "django_settings",
    "request",
    "connection",
    "self._layer",
    "self._transport",
    "self._request.channel",
}
"""Objects of other libraries."""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_assigned_onto_an_object_from_outside(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            if isinstance(target, ast.Attribute):
                assert ast.unparse(target.value) in RECORDS | FOREIGN, f"line {node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_object_hands_out_a_lambda_of_itself(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Lambda):
            names = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
            assert "self" not in names, f"line {node.lineno}"
