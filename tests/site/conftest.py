"""The wheel, built once, and environments that have it and no path of this repository."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.support.servers import ROOT


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    return build("wheel", tmp_path_factory.mktemp("wheel"))


def build(target: str, folder: Path, source: Path = ROOT) -> Path:
    """Builds a wheel or an sdist in a folder."""
    before = {*folder.iterdir()}
    words = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(words, cwd=source, check=True, capture_output=True, env=environment())
    [path] = {*folder.iterdir()} - before
    return path


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel. The packages that it needs are borrowed from ours,
    so that nothing is downloaded."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True, env=environment())
    [packages] = (folder / "lib").glob("python*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"])
    return python


def environment(**settings: str) -> dict[str, str]:
    """Without anything that leads to this repository."""
    left_out = {"PYTHONPATH", "DJANGO_SETTINGS_MODULE", "SECRET_KEY", "DATABASE_URL"}
    return {**{k: v for k, v in os.environ.items() if k not in left_out}, **settings}
