"""`manage.py relay …` as a process of its own, to its end."""

import os
import subprocess
import sys

from tests.support.servers import ROOT


def relay_command(*words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", "relay", *words],
        cwd=ROOT,
        env={**os.environ, "SECRET_KEY": "x", **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
