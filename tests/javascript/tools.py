"""Node and the tools of tests/javascript/package.json."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.servers import ROOT

HERE = ROOT / "tests/javascript"
MODULES = HERE / "node_modules"
PACKAGE = ROOT / "frontend/client"

needs_node = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


def run(*words: str, cwd: Path = HERE, **env: str) -> str:
    """What a command prints. Fails with all of its output when it does."""
    done = subprocess.run(
        words,
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def tool(name: str, *words: str, cwd: Path = HERE) -> str:
    return run(str(MODULES / ".bin" / name), *words, cwd=cwd)


def bundle(source: str, folder: Path) -> str:
    """A module with all that it imports, the client as `@relay-hub/client` included."""
    (folder / "source.jsx").write_text(source)
    options = ["--bundle", "--format=esm", "--jsx=automatic", "--log-level=error"]
    options += [f"--alias:@relay-hub/client={PACKAGE / 'client.js'}"]
    options += ['--define:process.env.NODE_ENV="production"', f"--outfile={folder / 'bundle.js'}"]
    esbuild = str(MODULES / ".bin/esbuild")
    run(esbuild, str(folder / "source.jsx"), *options, NODE_PATH=str(MODULES))
    return (folder / "bundle.js").read_text()
