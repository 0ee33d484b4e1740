"""The past on its way to a stream that is not live yet."""

import asyncio

import pytest

from relay.feed.fanout import Fanout
from relay.feed.ring import Ring
from relay.replay.catching_up import Backlog, CatchingUp, Handover
from tests.support.core import FakeWriter, HandClock, make_context, make_feed
from tests.support.waiting import until


async def test_a_backlog_that_fails_costs_its_own_stream_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, ring = HandClock(), Ring(1000, 1_000_000)
    feed = make_feed(ring)
    feed.mark(1_700_000_000_000, 0)
    context = make_context(clock)
    fanout = Fanout(feed, context)
    catching_up = CatchingUp(fanout, context.stats)

    async def good(seen: asyncio.Event) -> Backlog:
        yield b"data: the past\n\n"
        await seen.wait()
        yield Handover(ring.end_place, b"")

    async def bad() -> Backlog:
        yield b"data: some of it\n\n"
        raise LookupError("a bug")

    seen = asyncio.Event()
    live, broken, waiting = FakeWriter(), FakeWriter(), FakeWriter()
    fanout.join(live, ring.end_place)
    catching_up.begin(waiting, good(seen))
    failing = catching_up.begin(broken, bad())
    await until(lambda: broken.aborted)
    seen.set()
    await until(lambda: len(catching_up._tasks) == 0)
    feed.receive(b"now", 0)
    fanout.wake()
    clock.run()
    assert (live.aborted, waiting.aborted) == (False, False)
    assert b"data: now" in live.body
    assert waiting.body.startswith(b"data: the past")
    assert b"data: now" in waiting.body
    assert b"data: now" not in broken.body
    assert len(fanout) == 2
    [record] = caplog.records
    assert (record.levelname, record.getMessage()) == (
        "ERROR",
        "A replay failed; this is a bug. Cutting the stream.",
    )
    assert record.__dict__["stream"] == failing.log_fields()["stream"]
