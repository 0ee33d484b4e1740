"""The facts about the machine that a report states."""

import os
import platform
import subprocess
from pathlib import Path

from bench.process import ROOT


def facts() -> list[tuple[str, str]]:
    """Returns names and values, in the order of the report."""
    load = os.getloadavg()[0]
    return [
        ("Processor", f"{_first('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores"),
        ("Memory", f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"),
        ("Kernel", f"{platform.system()} {platform.release()}"),
        ("Load average before the run", f"{load:.2f}"),
        ("Revision", _revision()),
    ]


def _first(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return platform.machine()


def _revision() -> str:
    try:
        git = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
        )
    except OSError:
        return "unknown"
    return git.stdout.strip() or "unknown"
