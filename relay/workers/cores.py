"""How many cores this process may use."""

import math
import os
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def usable_cores(own_group: Path = Path("/proc/self/cgroup"), groups: Path = CGROUPS) -> int:
    """Returns the number of cores by the scheduler's mask and by the quota of the control group.

    A container sees all cores of its host, whatever its quota is (cgroups(7), cpu.max).
    """
    cores = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):
        path = own_group.read_text().strip().rpartition("::")[2].lstrip("/")
        quota, period = (groups / path / "cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(cores, 1)
