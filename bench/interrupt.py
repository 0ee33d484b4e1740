"""Ctrl-C and SIGTERM, taken only where nothing is half done.

An exception out of a signal handler can strike inside `subprocess.Popen`: between the fork and the
handle, so that a child is lost, or while its lock is held, so that waiting for it never ends. So the
handlers take a note, and the loops that wait look at it.
"""

import signal

_noted: list[int] = []


class Interrupted(Exception):
    """The user, or the system, wants the benchmark to end."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.exit_code = 128 + number


def install() -> None:
    """From now on both signals are noted. One that is ignored, as for a job of `nohup`, stays so."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, frame: _noted.append(number))


def check() -> None:
    """Raises Interrupted when a signal was noted."""
    if _noted:
        raise Interrupted(_noted[0])
