"""An old connection ends with the handover, whatever becomes of the new one."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from relay.source.handover import take_over


class Connection:
    """A connection whose only channel waits for what the old connection has to deliver."""

    def __init__(self, *entered: object) -> None:
        self.master: Any = object()
        self.open = True
        self.ended_by: list[str] = []
        self._entered = list(entered)

    def entered(self, channels: object) -> list[object]:
        return self._entered

    def abort(self, reason: str) -> None:
        self.ended_by.append(reason)


async def test_the_old_connection_ends_where_the_listener_ends_during_the_handover() -> None:
    held = SimpleNamespace(held=True, intake=SimpleNamespace(promoted=asyncio.Event()))
    old, new = Connection(), Connection(held)
    taking_over = asyncio.create_task(take_over(new, [], old))  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    assert old.ended_by == []
    taking_over.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking_over
    assert old.ended_by == ["another connection took over"]
