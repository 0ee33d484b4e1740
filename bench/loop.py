"""An event loop: one thread waits for many sockets."""

import select
import time
from collections.abc import Callable
from typing import TypeAlias

from bench import interrupt
from bench.closing import Closing

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT

Handler: TypeAlias = Callable[[int], None]

_SOCKETS_PER_TURN = 128
"""Few enough that a message due during a turn is published well under a millisecond late."""

_LOOK_SECONDS = 0.1
"""The longest time until an idle loop checks for an interrupt."""


class Loop(Closing):
    """Level-triggered epoll. A handler gets the event mask of its socket."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}

    def close(self) -> None:
        self._epoll.close()

    def add(self, fd: int, mask: int, handler: Handler) -> None:
        self._handlers[fd] = handler
        self._epoll.register(fd, mask)

    def change(self, fd: int, mask: int) -> None:
        self._epoll.modify(fd, mask)

    def handle(self, fd: int, handler: Handler) -> None:
        """Replaces the handler of a socket."""
        self._handlers[fd] = handler

    def remove(self, fd: int) -> None:
        del self._handlers[fd]
        self._epoll.unregister(fd)

    def turn(self, wait_seconds: float) -> int:
        """Serves the sockets that are ready within `wait_seconds`. Returns how many there were.

        Raises Interrupted, as every method here that waits.
        """
        interrupt.check()
        handlers = self._handlers
        ready = self._epoll.poll(wait_seconds, _SOCKETS_PER_TURN)
        for fd, mask in ready:
            handler = handlers.get(fd)
            if handler is not None:  # an earlier handler of this turn may have removed it
                handler(mask)
        return len(ready)

    def run_until(self, due_ns: int) -> None:
        """Runs until `time.perf_counter_ns()` reaches `due_ns`.

        epoll rounds its wait up to whole milliseconds. select(2) does not, and it can wait for an
        epoll. So a message is sent when it is due without a busy wait, which would take the core
        from Redis.
        """
        while (left_ns := due_ns - time.perf_counter_ns()) > 0:
            select.select([self._epoll], [], [], min(left_ns / 1e9, _LOOK_SECONDS))
            self.turn(0)

    def wait_for(self, done: Callable[[], bool], deadline_ns: int) -> bool:
        """Runs until `done()` or the deadline (`time.perf_counter_ns`). Returns whether it is done."""
        while not done():
            if time.perf_counter_ns() >= deadline_ns:
                return False
            self.turn(0.01)
        return True
