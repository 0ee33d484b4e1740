"""Waiting for a client that is behind."""

import asyncio


class Drain:
    """One waits, and whoever sees the client take something wakes it."""

    __slots__ = ("_waiter",)

    def __init__(self) -> None:
        self._waiter: asyncio.Future[None] | None = None

    async def wait(self, seconds: float) -> bool:
        """Returns whether it was woken in time."""
        self._waiter = asyncio.get_running_loop().create_future()
        done, _pending = await asyncio.wait([self._waiter], timeout=seconds)
        return bool(done)

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
