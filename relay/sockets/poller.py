"""One epoll for all sockets, itself watched by the event loop.

A socket takes an entry in the kernel and one in a dict. `loop.add_reader` would take a handle, a key and
a tuple for each, at twice the cost of opening and closing.
"""

import asyncio
import logging
import select
from typing import Protocol

logger = logging.getLogger("relay")

EVENTS_AT_ONCE = 512
"""The most events that one turn of the event loop takes."""

AVAILABLE = hasattr(select, "epoll")
"""Whether this system has epoll (Linux)."""


class Watcher(Protocol):
    """Whoever is told of the events of a socket."""

    def on_event(self, mask: int) -> None: ...

    def abort(self) -> None: ...


class Poller:
    """Methods are called in the event loop that serves."""

    def __init__(self) -> None:
        self._epoll: select.epoll | None = None
        self._watchers: dict[int, Watcher] = {}

    def open(self) -> None:
        """Opens the epoll. Called before any socket comes: later there may be no descriptor left for it."""
        if AVAILABLE and self._epoll is None:
            self._epoll = select.epoll()
            asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._report, self._epoll)

    def watch(self, fd: int, watcher: Watcher, mask: int) -> None:
        """Reports the events in `mask`, and always a hang-up and an error."""
        assert self._epoll is not None
        self._epoll.register(fd, mask)
        self._watchers[fd] = watcher

    def change(self, fd: int, mask: int) -> None:
        """Reports the events in this mask from now on."""
        assert self._epoll is not None
        self._epoll.modify(fd, mask)

    def forget(self, fd: int) -> None:
        """Reports nothing any more. Called before the socket is closed."""
        assert self._epoll is not None
        self._epoll.unregister(fd)
        del self._watchers[fd]

    def close(self) -> None:
        """Closes the epoll; the sockets stay as they are."""
        if self._epoll is not None:
            asyncio.get_running_loop().remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None
            self._watchers.clear()

    def _report(self, epoll: select.epoll) -> None:
        for fd, mask in epoll.poll(0, EVENTS_AT_ONCE):
            watcher = self._watchers.get(fd)
            if watcher is None:
                continue  # an earlier event of this turn has closed it
            try:
                watcher.on_event(mask)
            except Exception:
                logger.exception(
                    "The socket of a stream failed; this is a bug. Cutting the stream."
                )
                watcher.abort()
