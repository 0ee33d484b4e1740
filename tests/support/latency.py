"""How long an event loop is held, seen from outside."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.client import raw_request

PROBE = b"HEAD /stream/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
"""Is answered in the event loop alone, without a thread."""


class Wait:
    """The longest time that one of many small requests took."""

    def __init__(self) -> None:
        self.seconds = 0.0


@contextmanager
def longest_wait(url: str) -> Iterator[Wait]:
    """Asks again and again on one connection, as long as its block lasts."""
    wait, stop = Wait(), threading.Event()

    def probe() -> None:
        with raw_request(url, PROBE, 60) as connection:
            connection.recv(65536)
            while not stop.wait(0.002):
                begin = time.perf_counter()
                connection.sendall(PROBE)
                connection.recv(65536)
                wait.seconds = max(wait.seconds, time.perf_counter() - begin)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield wait
    finally:
        stop.set()
        thread.join()
