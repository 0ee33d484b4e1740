"""CPU time, memory and file descriptors of this process, from the kernel (proc(5), getrusage(2))."""

import os
import resource
from contextlib import suppress
from pathlib import Path

PAGE_BYTES = resource.getpagesize()


def process_values() -> dict[str, float]:
    """Returns the values by the names of their metrics. Leaves out what this system does not tell."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    values: dict[str, float] = {
        "process_cpu_seconds_total": usage.ru_utime + usage.ru_stime,
        "process_max_fds": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }
    with suppress(OSError):
        virtual, resident = Path("/proc/self/statm").read_text().split()[:2]
        values["process_virtual_memory_bytes"] = int(virtual) * PAGE_BYTES
        values["process_resident_memory_bytes"] = int(resident) * PAGE_BYTES
        values["process_open_fds"] = _open_descriptors()
        values["process_start_time_seconds"] = _started_at()
    return values


def _open_descriptors() -> int:
    """Since Linux 6.2 the directory has their number as its size; listing ten thousand takes milliseconds."""
    return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))


def _started_at() -> float:
    ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    with Path("/proc/stat").open() as system:
        boot = next(line for line in system if line.startswith("btime "))
    return int(boot.split()[1]) + int(ticks) / os.sysconf("SC_CLK_TCK")
