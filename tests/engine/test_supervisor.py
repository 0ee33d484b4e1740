"""A part of the hub that fails is started again; nothing else ends because of it."""

import asyncio

import pytest

from relay.clock import LoopClock
from relay.engine import supervisor
from relay.engine.supervisor import Supervisor


class Part:
    """Fails a number of times, then runs."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.runs = asyncio.Event()
        self.cancelled = False

    async def run(self) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("a bug of the part")
        self.runs.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.cancelled = True


async def test_a_part_that_fails_is_started_again_and_logged_each_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor, "BACKOFF_SECONDS", (0.01, 0.02))
    parts, watch = [Part(3), Part(0)], Supervisor(LoopClock())
    for number, part in enumerate(parts):
        watch.start(part.run, f"part {number}")
    await parts[1].runs.wait()
    await asyncio.sleep(0)
    assert watch.failing
    await parts[0].runs.wait()
    assert not watch.failing
    said = [record.getMessage() for record in caplog.records]
    assert said == ["The part 0 failed; this is a bug. Starting it again."] * 3
    assert not parts[1].cancelled
    await watch.stop()
    assert [part.cancelled for part in parts] == [True, True]


async def test_a_part_that_returns_is_not_started_again() -> None:
    calls = 0

    async def work() -> None:
        nonlocal calls
        calls += 1

    watch = Supervisor(LoopClock())
    await watch.start(work, "part")
    assert (calls, watch.failing) == (1, False)
    await watch.stop()
