"""Child processes on a core of their own, and their use of CPU and memory."""

import ctypes
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import interrupt
from bench.closing import Closing
from bench.errors import BenchError

ROOT = Path(__file__).resolve().parent.parent
PR_SET_PDEATHSIG = 1  # prctl(2)
STOP_SECONDS = 10.0

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_libc = ctypes.CDLL(None)


class Child(Closing):
    """A process and its children, pinned to one core or free on all. A context manager that ends it.

    It inherits the descriptors of `pass_fds`. If this process is killed, the kernel sends
    `death_signal` to the child.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        core: int | None,
        env: Mapping[str, str] | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.name = name
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        parent = os.getpid()

        def prepare() -> None:
            if core is not None:
                os.sched_setaffinity(0, {core})
            _libc.prctl(PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != parent:  # the parent died before prctl
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            self._process = subprocess.Popen(
                command,
                env=None if env is None else dict(env),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches only the bench, which ends its children
                preexec_fn=prepare,
                pass_fds=pass_fds,
            )
        except OSError as error:
            self._output.close()
            raise BenchError(f"{name} cannot be started: {error}") from None

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._output.close()

    def wait_for_port(self, port: int, seconds: float = 20.0) -> None:
        """Raises BenchError, with the end of its output, unless it listens in time."""
        deadline = time.monotonic() + seconds
        while not _accepts(port):
            interrupt.check()
            self.require_alive()
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name} did not listen within {seconds:g} s:{self._said()}")
            time.sleep(0.02)

    def require_alive(self) -> None:
        if self._process.poll() is not None:
            raise BenchError(f"{self.name} ended ({self._process.returncode}):{self._said()}")

    @property
    def pid(self) -> int:
        return self._process.pid

    def pids(self) -> list[int]:
        """Returns the process and its present descendants."""
        parents = _parents()
        found = [self._process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def exit_code(self) -> int | None:
        """Returns it, negative for a signal; None while the process runs."""
        return self._process.poll()

    def output(self) -> str:
        """Returns what it and its children wrote."""
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode(errors="replace")

    def _said(self) -> str:
        lines = self.output().strip().splitlines()
        return " " + (" / ".join(lines[-3:]) or "it wrote nothing")


def cpu_seconds(pids: Sequence[int]) -> float:
    """Returns user and system time of all threads of the processes, ended ones included."""
    return sum(time.clock_gettime(_cpu_clock(pid)) for pid in pids)


def memory_bytes(pids: Sequence[int]) -> int:
    """Returns the resident memory, with a share of each shared page (Pss, proc(5)).

    Pages of files are left out: the share of a program's own changes when another process of the same
    program starts or ends.
    """
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                total += int(line.split()[1]) * 1024
    return total


def memory_peak_bytes(pids: Sequence[int]) -> int:
    """Returns the peak of resident memory since `forget_memory_peak`, with all shared pages (VmHWM)."""
    return sum(_status_bytes(pid, "VmHWM:") for pid in pids)


def forget_memory_peak(pids: Sequence[int]) -> None:
    """Resets the peak to the present use (proc(5), clear_refs)."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def core_busy_seconds(core: int) -> float:
    """Returns how long this core was busy since boot, with any program."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq = map(int, ticks[:7])
            return (user + nice + system + irq + softirq) / _TICKS_PER_SECOND
    raise BenchError(f"/proc/stat has no core {core}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _cpu_clock(pid: int) -> int:
    """Returns the CPU clock of a process (clock_getcpuclockid(3)).

    The times in /proc have a resolution of 10 ms, a twentieth of the whole cost of a small load.
    """
    clock = ctypes.c_int()
    error = _libc.clock_getcpuclockid(pid, ctypes.byref(clock))
    if error:
        raise BenchError(f"the CPU time of process {pid} cannot be read: {os.strerror(error)}")
    return clock.value


def _status_bytes(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise BenchError(f"/proc/{pid}/status has no {name}")


def _stat(pid: int) -> list[str]:
    """Returns the fields of /proc/<pid>/stat after the name, which may hold any character."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _parents() -> dict[int, int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(_stat(int(entry.name))[1])
            except OSError:  # it has just ended
                continue
    return parents
