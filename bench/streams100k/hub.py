"""The hub with its workers, and what /proc says of them."""

import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bench import interrupt
from bench.closing import Closing
from bench.errors import BenchError
from bench.process import Child
from bench.servers.base import CHANNEL

START_SECONDS = 60.0
END_SECONDS = 15.0

ROLLED = "the new workers are live"
_find_port = re.compile(r"Relay Hub on http://127\.0\.0\.1:(\d+)/").search


class HubWithWorkers(Closing):
    """`manage.py relay serve --workers N`. Its block ends all of its processes."""

    def __init__(
        self, redis_port: int, *, workers: int, max_streams: int, drain_seconds: float
    ) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
        env |= {
            "SECRET_KEY": "only-for-the-benchmark" * 3,
            "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
            "RELAY_MAX_STREAMS": str(max_streams),
            "RELAY_CHANNEL": CHANNEL,
            "RELAY_DRAIN_SECONDS": f"{drain_seconds:g}",
        }
        command = [sys.executable, "manage.py", "relay", "serve", "--host", "127.0.0.1"]
        command += ["--port", "0", "--workers", str(workers)]
        self._child = Child("Relay Hub", command, None, env, death_signal=signal.SIGINT)

    def close(self) -> None:
        """Ends the parent at once, then by their ids those of its workers that are left."""
        handles = [os.pidfd_open(pid) for pid in self.workers()]
        if self.exit_code() is None:
            self.signal(signal.SIGINT)
        deadline = time.monotonic() + END_SECONDS
        while self.exit_code() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        for handle in handles:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)
        self._child.close()

    def wait_until_live(self) -> int:
        """Returns its port when all workers are live."""
        deadline = time.monotonic() + START_SECONDS
        while not (found := _find_port(self.log())):
            interrupt.check()
            self._child.require_alive()
            if time.monotonic() > deadline:
                raise BenchError(f"the hub was not live within {START_SECONDS:g} s: {self.log()}")
            time.sleep(0.05)
        return int(found[1])

    def parent(self) -> int:
        return self._child.pid

    def workers(self) -> list[int]:
        """Returns the ids of all its workers, those that drain as well."""
        pid = self._child.pid
        try:
            words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:  # it has ended
            return []
        return [int(word) for word in words]

    def pids(self) -> list[int]:
        return [self.parent(), *self.workers()]

    def signal(self, number: signal.Signals) -> None:
        self._child.signal(number)

    def exit_code(self) -> int | None:
        return self._child.exit_code()

    def log(self) -> str:
        return self._child.output()

    def require_alive(self) -> None:
        self._child.require_alive()


def sockets_of(pid: int) -> int:
    """Returns the number of sockets of a process: its streams, and a few more."""
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # it has just been closed
            count += os.readlink(entry).startswith("socket:")
    return count


def alive(pids: Sequence[int]) -> bool:
    """Whether one of them runs."""
    return any(Path(f"/proc/{pid}").exists() for pid in pids)


def available_bytes() -> int:
    """Returns the memory of the machine that is not in use, with caches that can go (proc(5))."""
    return _of_the_machine("MemAvailable")


def kernel_bytes() -> int:
    """Returns what the kernel holds in small objects, such as sockets, of all programs (proc(5))."""
    return _of_the_machine("Slab")


def _of_the_machine(name: str) -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise BenchError(f"/proc/meminfo has no {name}")
