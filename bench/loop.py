"""One thread that waits for many sockets."""

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
"""Small enough that a message which falls due during a turn is late by well under a millisecond."""

_LOOK_SECONDS = 0.1
"""How long an interrupt may have to wait while nothing happens."""


class Loop(Closing):
    """Level-triggered epoll; a handler gets the event mask of its socket."""

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
        """Another handler for a socket that was added."""
        self._handlers[fd] = handler

    def remove(self, fd: int) -> None:
        del self._handlers[fd]
        self._epoll.unregister(fd)

    def turn(self, wait_seconds: float) -> int:
        """Serves what is ready, waiting for it at most `wait_seconds`; says how many sockets were.

        Raises Interrupted, as everything here that waits.
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
        """Turns until `time.perf_counter_ns()` reaches `due_ns`.

        epoll rounds its wait up to whole milliseconds; select(2) does not, and an epoll is a file
        that can be waited for. So a message goes out when it is due and nobody spins until then,
        which would take the core from Redis.
        """
        while (left_ns := due_ns - time.perf_counter_ns()) > 0:
            select.select([self._epoll], [], [], min(left_ns / 1e9, _LOOK_SECONDS))
            self.turn(0)

    def wait_for(self, done: Callable[[], bool], deadline_ns: int) -> bool:
        """Turns until `done()` or the deadline (`time.perf_counter_ns`); says which."""
        while not done():
            if time.perf_counter_ns() >= deadline_ns:
                return False
            self.turn(0.01)
        return True
