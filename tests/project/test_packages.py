"""The versions of packages: what pyproject.toml allows, and what is tested."""

import tomllib

from packaging.requirements import Requirement
from packaging.version import Version

from tests.support.servers import ROOT


def _allowed() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def _pinned(file: str) -> dict[str, Version]:
    """The packages of a file of requirements, each with its one version."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines())
    found = [Requirement(line) for line in lines if line and not line.startswith("-r")]
    return {each.name.lower(): _bound(each) for each in found}


def _bound(requirement: Requirement) -> Version:
    [only] = requirement.specifier
    return Version(only.version)


def test_the_oldest_packages_that_are_allowed_are_those_that_make_oldest_installs() -> None:
    oldest = {each.name.lower(): _bound(each) for each in _allowed()}
    assert oldest == _pinned("requirements-oldest.in")


def test_the_packages_of_the_hub_itself_are_allowed() -> None:
    pinned = _pinned("requirements.in") | _pinned("requirements-run.in")
    for each in _allowed():
        assert pinned[each.name.lower()] in each.specifier, each.name
