"""The protocol by which a service manager learns how a service is (sd_notify(3))."""

import os
import socket
import time
from contextlib import suppress


class ServiceManager:
    """Does nothing where there is none. What it takes from the environment, no child inherits."""

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        watchdog = os.environ.pop("WATCHDOG_USEC", "")
        self.watchdog_seconds = int(watchdog) / 1e6 if watchdog.isdecimal() else None
        """How often it expects `alive` at the least."""

    def ready(self) -> None:
        self._tell("READY=1")

    def reloading(self) -> None:
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def alive(self) -> None:
        """Never waits: a manager that does not read has enough of these words already."""
        self._tell("WATCHDOG=1", socket.MSG_DONTWAIT)

    def _tell(self, state: str, flags: int = 0) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        gone = suppress(OSError)  # the hub is none the worse for it
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, gone:
            sender.sendto(state.encode(), flags, address)
