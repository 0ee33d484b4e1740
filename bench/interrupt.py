"""Ctrl-C and SIGTERM, handled only at safe points.

An exception from a signal handler may be raised inside `subprocess.Popen`: between the fork and the
handle, which loses the child, or while its lock is held, which blocks every later wait. So the
handlers record the signal, and the loops that wait check for it.
"""

import signal

_noted: list[int] = []


class Interrupted(Exception):
    """A signal asked the benchmark to end."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.exit_code = 128 + number


def install() -> None:
    """Records both signals from now on. An ignored signal, as under `nohup`, stays ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, frame: _noted.append(number))


def check() -> None:
    """Raises Interrupted if a signal was recorded."""
    if _noted:
        raise Interrupted(_noted[0])
