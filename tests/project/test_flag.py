"""relay/flag.py does what asyncio.Event does."""

import asyncio

import pytest

from relay.flag import Flag


async def test_everybody_who_waits_is_woken_once_it_is_set() -> None:
    flag = Flag()
    waits = [asyncio.create_task(flag.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not flag.is_set()
    flag.set()
    flag.clear()
    assert await asyncio.gather(*waits) == [True] * 3
    assert not flag.is_set()


async def test_nobody_waits_for_a_flag_that_is_set() -> None:
    flag = Flag()
    flag.set()
    assert await flag.wait()
    flag.clear()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(flag.wait(), 0.01)


async def test_a_wait_that_is_cancelled_leaves_nothing_and_others_go_on() -> None:
    flag = Flag()
    first, second = (asyncio.create_task(flag.wait()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    flag.set()
    assert await second
    with pytest.raises(asyncio.CancelledError):
        await first
