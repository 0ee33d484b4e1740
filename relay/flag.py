"""A flag that tasks wait for."""

import asyncio


class Flag:
    """An asyncio.Event that is small until somebody waits. An Event has a queue of 700 bytes from the start,
    and each channel has several."""

    __slots__ = ("_is_set", "_waiters")

    def __init__(self) -> None:
        self._is_set = False
        self._waiters: set[asyncio.Future[None]] | None = None

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """Wakes all who wait, even if the flag is cleared before they run."""
        self._is_set = True
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def clear(self) -> None:
        self._is_set = False

    async def wait(self) -> bool:
        """Returns True when the flag is set."""
        if not self._is_set:
            waiter = asyncio.get_running_loop().create_future()
            if self._waiters is None:
                self._waiters = set()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                if self._waiters is not None:
                    self._waiters.discard(waiter)
        return True
